/* SPDX-License-Identifier: Apache-2.0 */
/* The options that there are, and the text of --help. */
#include "config/options_internal.h"

#include "capture/capture.h"
#include "config/config.h"
#include "spool/spool.h"

const struct argp_option options_table[] = {
	{NULL, 0, NULL, 0, "Where the lines go:", 1},
	{"stdout", KEY_STDOUT, "FORMAT", OPTION_ARG_OPTIONAL,
	 "Print them: text (default), json (one object per line), logfmt, raw (the bytes alone)",
	 1},
	{"timestamps", KEY_TIMES, NULL, 0, "Begin each line of text or raw with its time", 1},
	{"loki", KEY_LOKI, "URL", 0,
	 "Push them to Grafana Loki, e.g. http://localhost:3100; https and user:password@ work", 1},
	{"inspect", KEY_INSPECT, NULL, 0,
	 "With --stdout -c FILE: show on stderr what each of its stages does to each line", 1},
	{"tenant", KEY_TENANT, "ID", 0, "Loki's tenant (X-Scope-OrgID)", 1},
	{NULL, 0, NULL, 0, "Which lines (default: those of every container of this host):", 2},
	{"container", KEY_CONTAINER, "NAME", 0,
	 "Containers of this name, shell patterns work, or whose id begins so (6 digits or more); "
	 "may be repeated",
	 2},
	{"label", KEY_LABEL, "K=V", 0, "Only with this label; repeated: with all of them", 2},
	{"stream", KEY_STREAM, "NAME", 0, "Only stdout or only stderr", 2},
	{"cgroup", KEY_CGROUP, "PATH", 0,
	 "Besides containers, what runs in this cgroup and below, e.g. "
	 "/system.slice/foo.service; * and ? match within a component; may be repeated",
	 2},
	{"exec-sessions", KEY_EXEC_SESSIONS, NULL, 0,
	 "Those of `docker exec' too, which docker logs does not show", 2},
	{"pid", KEY_PID, "PID", 0, "The output of a process that runs already", 2},
	{"docker", KEY_DOCKER, "HOST", 0,
	 "Docker's API, for names and labels: unix://SOCKET or tcp://HOST:PORT "
	 "(default: unix:///var/run/docker.sock)",
	 2},
	{"no-docker", KEY_NO_DOCKER, NULL, 0, "Do not ask Docker: lines carry ids only", 2},
	{NULL, 0, NULL, 0, "How:", 3},
	{"config", KEY_CONFIG, "FILE", 0,
	 "Configuration, notail's or Promtail's; options come first (default, unless lines are "
	 "printed: " CONFIG_DEFAULT_PATH " where it is)",
	 3},
	{"host", KEY_HOST, "NAME", 0, "Value of the label host (default: the host's name)", 3},
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Status page and metrics (default: " SERVER_DEFAULT_LISTEN "; none where lines are "
	 "printed); off: none",
	 3},
	{"batchwait", KEY_BATCHWAIT, "TIME", 0,
	 "Push a line at the latest so long after it came (default: 1s)", 3},
	{"batchsize", KEY_BATCHSIZE, "SIZE", 0, "Push when so much has come (default: 1MiB)", 3},
	{"max-line-size", KEY_MAX_LINE_SIZE, "SIZE", 0,
	 "Longer lines are cut there, and marked (default: 256KiB)", 3},
	{"ring-size", KEY_RING_SIZE, "SIZE", 0,
	 "Memory for what is not delivered yet: a power of two, 1MiB to 1GiB (default: 32MiB)", 3},
	{"shutdown-timeout", KEY_SHUTDOWN_TIMEOUT, "TIME", 0,
	 "At the end deliver what there is for so long (default: 10s)", 3},
	{"spool-dir", KEY_SPOOL_DIR, "DIRECTORY", 0,
	 "Files for what Loki has not taken (default: " SPOOL_DEFAULT_DIRECTORY "); off: none", 3},
	{"tap", KEY_TAP, "MODE", 0,
	 "Copy at the runtime's read, or at the container's write: auto (default), read, write", 3},
	{"hooks", KEY_HOOKS, "SET", 0,
	 "Kernel hooks: auto (default; see `notail probe'), fexit, multi, syscall", 3},
	{"attribution", KEY_ATTRIBUTION, "MODE", 0,
	 "Name the writing process, and prove that nothing is missing: stream (default); line, "
	 "with thread and trace, where processes race too, at a cost for each write; off, and the "
	 "container's writes cost less",
	 3},
	{"rate-limit", KEY_RATE_LIMIT, "SIZE/s[:BURST]", 0,
	 "Drop, and count, what a container writes over this (BURST: a second's worth)", 3},
	{"pins", KEY_PINS, "DIR", 0,
	 "`notail run': a directory of a BPF file system, where what captures and what is not "
	 "delivered yet outlives notail (default: " CAPTURE_PINS "); off: nothing does",
	 3},
	{"detach-on-exit", KEY_DETACH_ON_EXIT, NULL, 0,
	 "`notail run': capture ends with it, unless it is killed", 3},
	{"stats", KEY_STATS, NULL, 0, "Print what was counted, on stderr, at the end", 3},
	{"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
	 "notail's own messages, on stderr: error, warn, info (default), debug", 3},
	{"log-format", KEY_LOG_FORMAT, "FORMAT", 0, "How they look: text (default), logfmt, json",
	 3},
	{"json", KEY_JSON, NULL, 0, "`notail probe': print the report as JSON", 4},
	{"registered", KEY_REGISTERED, NULL, 0,
	 "`notail probe': the streams that the notails of this host have registered", 4},
	{"force", KEY_FORCE, NULL, 0, "`notail unpin': also while a run goes on", 4},
	{"effective", KEY_EFFECTIVE, NULL, 0,
	 "`notail check-config FILE': print what is in force, secrets masked", 4},
	{"schema", KEY_SCHEMA, NULL, 0, "`notail check-config': print the JSON Schema of a file",
	 4},
	{"defaults", KEY_DEFAULTS, NULL, 0,
	 "`notail check-config': print a file with every default, commented", 4},
	{"help", KEY_HELP, NULL, 0, "This text", 4},
	{"version", KEY_VERSION, NULL, 0, "The version", 4},
	{0},
};

const char options_args_doc[] =
	"--stdout\n--stdout -- CMD [ARG...]\n--loki URL\nrun\nevents\ncheck-config "
	"FILE\nprobe\nunpin\nversion";

const char options_doc[] =
	"Captures what containers write to stdout and stderr, in the kernel, and prints it or "
	"pushes it to Grafana Loki. Needs root.\n\n"
	"  run           capture until ended, for services: needs --loki, --stdout or a file's "
	"clients\n"
	"  events        push a Kubernetes cluster's events, as lines; needs no privilege\n"
	"  check-config  what is wrong with a configuration file; exit status 1 when something is\n"
	"  check-loki    push a line to a Loki, or to a file's clients, and read it back\n"
	"  support-bundle  what helps to find out what is wrong, as a tar file; no log lines\n"
	"  probe         what this kernel offers, and what notail would use\n"
	"  unpin         end the capture that a `run' left behind, and drop what is not delivered\n"
	"  version       the version\n\n"
	"SIZE is bytes or has a suffix (k, M, G, KiB, MiB, GiB: powers of 1024), TIME has a unit "
	"(500ms, 1s, 2m)."
	"\v"
	"Examples:\n"
	"  notail --stdout                          every container of this host, live\n"
	"  notail --stdout --container 'web*' -t    some of them, with times\n"
	"  notail --stdout=json --stream stderr     stderr only, for a program to read\n"
	"  notail --stdout -- make test             a command; needs no engine\n"
	"  notail --stdout --pid 1234               a process that runs already\n"
	"  notail --loki http://localhost:3100      push everything to Loki\n"
	"\n"
	"Exit status: 0, or that of CMD; 1 when this host cannot do it; 2 for a mistake on the "
	"command line.";
