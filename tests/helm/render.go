// SPDX-License-Identifier: Apache-2.0

// Renders a Helm chart as `helm template` does: where there is no helm, for Debian has none.
//
//	render [-n NAMESPACE] [-f FILE]... [-kube VERSION] [-api GROUP/VERSION]... [-no-hooks] [-notes] RELEASE CHART
//
// It is made of what helm is made of: text/template, sprig, sigs.k8s.io/yaml, gojsonschema. What it knows of the
// chart language: .Values (merged with the files', null removes), .Release, .Chart, .Files, .Capabilities, .Template;
// include, tpl, required, fail, lookup (finds nothing), toYaml, toJson, fromYaml, fromJson and sprig's functions but
// env and expandenv. No dependencies of charts, no CRDs.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/semver"
	"github.com/Masterminds/sprig"
	"github.com/xeipuuv/gojsonschema"
	"sigs.k8s.io/yaml"
)

const maxDepth = 1000 // of templates that include each other; helm's

type values = map[string]interface{}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type files map[string][]byte

func (f files) Get(name string) string      { return string(f[name]) }
func (f files) GetBytes(name string) []byte { return f[name] }

func (f files) Glob(pattern string) files {
	found := files{}
	for name, data := range f {
		if ok, _ := path.Match(pattern, name); ok {
			found[name] = data
		}
	}
	return found
}

func (f files) AsConfig() string {
	entries := map[string]string{}
	for name, data := range f {
		entries[path.Base(name)] = string(data)
	}
	return toYaml(entries)
}

type versions []string

func (v versions) Has(wanted string) bool {
	for _, version := range v {
		if version == wanted {
			return true
		}
	}
	return false
}

type kubeVersion struct{ Version, Major, Minor string }

func (v kubeVersion) String() string     { return v.Version }
func (v kubeVersion) GitVersion() string { return v.Version }

type engine struct {
	root  *template.Template
	depth int
}

func toYaml(v interface{}) string {
	data, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

func fromYaml(text string) values {
	found := values{}
	if err := yaml.Unmarshal([]byte(text), &found); err != nil {
		found["Error"] = err.Error()
	}
	return found
}

func fromYamlArray(text string) []interface{} {
	found := []interface{}{}
	if err := yaml.Unmarshal([]byte(text), &found); err != nil {
		found = []interface{}{err.Error()}
	}
	return found
}

func (e *engine) include(name string, data interface{}) (string, error) {
	var out strings.Builder
	if e.depth >= maxDepth {
		return "", fmt.Errorf("%s: templates include each other", name)
	}
	e.depth++
	defer func() { e.depth-- }()
	err := e.root.ExecuteTemplate(&out, name, data)
	return out.String(), err
}

func (e *engine) tpl(text string, data interface{}) (string, error) {
	var out strings.Builder
	clone, err := e.root.Clone()
	if err != nil {
		return "", err
	}
	t, err := clone.New("tpl").Parse(text)
	if err != nil {
		return "", err
	}
	err = t.Execute(&out, data)
	return strings.ReplaceAll(out.String(), "<no value>", ""), err
}

func required(message string, v interface{}) (interface{}, error) {
	if s, isText := v.(string); v == nil || (isText && s == "") {
		return v, fmt.Errorf("%s", message)
	}
	return v, nil
}

func (e *engine) functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	f["include"], f["tpl"], f["required"] = e.include, e.tpl, required
	f["toYaml"], f["fromYaml"], f["fromYamlArray"] = toYaml, fromYaml, fromYamlArray
	f["fromJson"], f["fromJsonArray"] = fromYaml, fromYamlArray
	f["fail"] = func(message string) (string, error) { return "", fmt.Errorf("%s", message) }
	f["lookup"] = func(...string) values { return values{} }
	return f
}

// What `over` has comes first; null removes what the chart has.
func merge(base, over values) values {
	merged := values{}
	for key, v := range base {
		merged[key] = v
	}
	for key, v := range over {
		below, isMap := merged[key].(values)
		above, both := v.(values)
		if v == nil {
			delete(merged, key)
		} else if isMap && both {
			merged[key] = merge(below, above)
		} else {
			merged[key] = v
		}
	}
	return merged
}

func readValues(name string) (values, error) {
	found := values{}
	data, err := os.ReadFile(name)
	if err == nil {
		err = yaml.Unmarshal(data, &found)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return found, nil
}

func checkSchema(schema []byte, v values) error {
	if schema == nil {
		return nil
	}
	result, err := gojsonschema.Validate(gojsonschema.NewBytesLoader(schema), gojsonschema.NewGoLoader(v))
	if err != nil {
		return err
	}
	problems := []string{}
	for _, problem := range result.Errors() {
		problems = append(problems, problem.String())
	}
	if len(problems) > 0 {
		sort.Strings(problems)
		return fmt.Errorf("values don't meet the specifications of the schema:\n- %s", strings.Join(problems, "\n- "))
	}
	return nil
}

func readChart(chart string) (files, error) {
	found := files{}
	err := filepath.Walk(chart, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		relative, err := filepath.Rel(chart, name)
		if err == nil {
			found[filepath.ToSlash(relative)], err = os.ReadFile(name)
		}
		return err
	})
	return found, err
}

// The keys of Chart.yaml as templates see them: appVersion is .Chart.AppVersion.
func chartFields(data []byte) (values, error) {
	raw, fields := values{}, values{}
	if err := yaml.UnmarshalStrict(data, &raw); err != nil {
		return nil, fmt.Errorf("Chart.yaml: %w", err)
	}
	for key, v := range raw {
		fields[strings.ToUpper(key[:1])+key[1:]] = v
	}
	for _, key := range []string{"ApiVersion", "Name", "Version"} {
		if fields[key] == nil {
			return nil, fmt.Errorf("Chart.yaml has no %s", key)
		}
	}
	if _, err := semver.StrictNewVersion(fmt.Sprint(fields["Version"])); err != nil {
		return nil, fmt.Errorf("Chart.yaml: version: %w", err)
	}
	return fields, nil
}

func checkKube(fields values, version string) error {
	wanted, has := fields["KubeVersion"].(string)
	if !has {
		return nil
	}
	constraint, err := semver.NewConstraint(wanted)
	if err != nil {
		return err
	}
	is, err := semver.NewVersion(version)
	if err == nil && !constraint.Check(is) {
		err = fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", wanted, version)
	}
	return err
}

type options struct {
	release, chart, namespace, kube string
	apis, valueFiles                list
	noHooks, notes                  bool
}

func load(o *options) (files, values, error) {
	all, err := readChart(o.chart)
	if err != nil {
		return nil, nil, err
	}
	fields, err := chartFields(all["Chart.yaml"])
	if err == nil {
		err = checkKube(fields, o.kube)
	}
	if err != nil {
		return nil, nil, err
	}
	merged := values{}
	for _, name := range append([]string{filepath.Join(o.chart, "values.yaml")}, o.valueFiles...) {
		v, err := readValues(name)
		if err != nil {
			return nil, nil, err
		}
		merged = merge(merged, v)
	}
	if err := checkSchema(all["values.schema.json"], merged); err != nil {
		return nil, nil, err
	}
	is := semver.MustParse(o.kube)
	return all, values{
		"Values":  merged,
		"Chart":   fields,
		"Release": values{"Name": o.release, "Namespace": o.namespace, "Service": "Helm", "Revision": 1, "IsInstall": true, "IsUpgrade": false},
		"Capabilities": values{
			"KubeVersion": kubeVersion{"v" + is.String(), fmt.Sprint(is.Major()), fmt.Sprint(is.Minor())},
			"APIVersions": versions(o.apis),
		},
	}, nil
}

func render(o *options) error {
	all, top, err := load(o)
	if err != nil {
		return err
	}
	e := &engine{root: template.New("chart").Option("missingkey=zero")}
	e.root.Funcs(e.functions())
	visible, names := files{}, []string{}
	for name, data := range all {
		if !strings.HasPrefix(name, "templates/") {
			visible[name] = data
			continue
		}
		full := top["Chart"].(values)["Name"].(string) + "/" + name
		if _, err := e.root.New(full).Parse(string(data)); err != nil {
			return err
		}
		names = append(names, full)
	}
	top["Files"] = visible
	sort.Strings(names)
	for _, name := range names {
		isNotes := path.Base(name) == "NOTES.txt"
		if strings.HasPrefix(path.Base(name), "_") || isNotes != o.notes {
			continue
		}
		if err := one(e, name, top, o); err != nil {
			return err
		}
	}
	return nil
}

func one(e *engine, name string, top values, o *options) error {
	top["Template"] = values{"Name": name, "BasePath": path.Dir(name)}
	var out bytes.Buffer
	if err := e.root.ExecuteTemplate(&out, name, top); err != nil {
		return err
	}
	text := strings.ReplaceAll(out.String(), "<no value>", "")
	if o.notes {
		fmt.Print(text)
		return nil
	}
	for _, document := range strings.Split("\n"+text, "\n---") {
		object := values{}
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, document)
		}
		if len(object) == 0 || (o.noHooks && strings.Contains(document, "helm.sh/hook")) {
			continue
		}
		fmt.Printf("---\n# Source: %s\n%s\n", name, strings.Trim(document, "\n"))
	}
	return nil
}

func main() {
	o := options{}
	flag.StringVar(&o.namespace, "n", "default", "namespace")
	flag.StringVar(&o.kube, "kube", "1.31.0", "version of Kubernetes")
	flag.Var(&o.apis, "api", "an API that the cluster has; repeatable")
	flag.Var(&o.valueFiles, "f", "a file of values; repeatable")
	flag.BoolVar(&o.noHooks, "no-hooks", false, "leave hooks out")
	flag.BoolVar(&o.notes, "notes", false, "what is said after an installation")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	o.release, o.chart = flag.Arg(0), flag.Arg(1)
	if err := render(&o); err != nil {
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		os.Exit(1)
	}
}
