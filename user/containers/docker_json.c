/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every field's type is checked; null and absence are the same, since Go writes either for an empty
 * map. Sizes are bounded here, so that nothing behind needs to ask: MAX_LABELS labels, strings of
 * MAX_VALUE bytes. A string ends at its first NUL: the API allows NUL in label values, and one such
 * label must not cost the other containers their names.
 */
#include "containers/docker_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "containers/cgroup.h"

#define MAX_LABELS 512
#define MAX_NAME 1024
#define MAX_VALUE 8192
#define MAX_VERSION 16
#define NEWEST_VERSION "1.51" /* of the API, that this was written for */

static void json__unref_p(json_t **j)
{
	json_decref(*j);
}
#define _json_ _cleanup_(json__unref_p)

static json_t *parse(const char *data, size_t len)
{
	json_error_t error;

	/* Numbers that no int64 holds are somebody else's; none is read here. */
	return json_loadb(data, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
}

/* A copy of at most max bytes, cut at a character's border (jansson gives valid UTF-8 only). */
static char *copy(const char *s, size_t max)
{
	size_t len = strlen(s);

	if (len > max) {
		len = max;
		while (len && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	return strndup(s, len);
}

/* A member that is a string, an absent or null one (*ret_value NULL), or -EBADMSG. Borrowed. */
static int string(const json_t *object, const char *key, const char **ret_value)
{
	const json_t *j = json_object_get(object, key);

	if (!j || json_is_null(j)) {
		*ret_value = NULL;
		return 0;
	}
	if (!json_is_string(j))
		return -EBADMSG;
	*ret_value = json_string_value(j);
	return 0;
}

static bool id_valid(const char *id)
{
	return id && strlen(id) == CONTAINER_ID_LEN &&
	       strspn(id, "0123456789abcdef") == CONTAINER_ID_LEN;
}

static int label__cmp(const void *a, const void *b)
{
	return strcmp(((const struct meta_label *)a)->name, ((const struct meta_label *)b)->name);
}

static bool listed(const char *const *names, const char *name)
{
	for (; names && *names; names++) {
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

/* `object` may be NULL or null. Members that `except` (NULL-terminated) names are left out. */
static int add_labels(struct meta *m, json_t *object, const char *const *except)
{
	const char *name;
	json_t *value;

	if (!object || json_is_null(object))
		return 0;
	if (!json_is_object(object))
		return -EBADMSG;
	json_object_foreach(object, name, value)
	{
		_free_ char *text = NULL;
		int err;

		if (!json_is_string(value))
			return -EBADMSG;
		if (listed(except, name) || strlen(name) > MAX_NAME || m->n_labels == MAX_LABELS)
			continue;
		text = copy(json_string_value(value), MAX_VALUE);
		err = text ? meta__add_label(m, name, text) : -ENOMEM;
		if (err)
			return err;
	}
	/* One order, so that two answers about one container can be compared. */
	if (m->n_labels)
		qsort(m->labels, m->n_labels, sizeof(*m->labels), label__cmp);
	return 0;
}

/* `name` with or without its slash, `name` and `image` may be NULL. */
static int new_meta(const char *id, const char *name, const char *image, struct meta **ret)
{
	_meta_ struct meta *m = NULL;

	if (!id_valid(id))
		return -EBADMSG;
	m = meta__new();
	if (!m)
		return -ENOMEM;
	if (name && *name == '/')
		name++;
	if (name && !*name)
		name = NULL;
	m->engine = strdup("docker");
	m->id = strdup(id);
	m->name = name ? copy(name, MAX_NAME) : NULL;
	m->image = image && *image ? copy(image, MAX_VALUE) : NULL;
	if (!m->engine || !m->id || (name && !m->name) || (image && *image && !m->image))
		return -ENOMEM;
	*ret = TAKE_PTR(m);
	return 0;
}

/* Of what no name depends on: a wrong type is as none. */
static int add_string(char **ret, const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	if (!value || !*value)
		return 0;
	free(*ret);
	*ret = copy(value, MAX_NAME);
	return *ret ? 0 : -ENOMEM;
}

/* The first by name that is not null. */
static int add_network(struct meta *m, json_t *networks)
{
	const json_t *first = NULL;
	const char *name, *first_name = NULL;
	json_t *network;
	int err;

	json_object_foreach(networks, name, network)
	{
		if (json_is_object(network) && (!first || strcmp(name, first_name) < 0)) {
			first = network;
			first_name = name;
		}
	}
	if (!first)
		return 0;
	m->network_name = copy(first_name, MAX_NAME);
	if (!m->network_name)
		return -ENOMEM;
	err = add_string(&m->network_id, first, "NetworkID");
	if (!err)
		err = add_string(&m->network_ip, first, "IPAddress");
	if (!err && !m->network_ip)
		err = add_string(&m->network_ip, first, "GlobalIPv6Address");
	return err;
}

/* `container:ID`: no networks are said then, and no ports may be. */
static int add_network_of(struct meta *m)
{
	static const char prefix[] = "container:";
	const char *mode = m->network_mode;

	if (!mode || m->network_name || strncmp(mode, prefix, strlen(prefix)) != 0 ||
	    !id_valid(mode + strlen(prefix)))
		return 0;
	m->network_of = strdup(mode + strlen(prefix));
	return m->network_of ? 0 : -ENOMEM;
}

static uint16_t port_number(const json_t *j)
{
	double n = json_is_string(j) ? strtod(json_string_value(j), NULL) : json_number_value(j);

	return n >= 1 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* Keeps the lower one: by the port inside, published ones first, by the port and address outside.
 */
static int offer_port(struct meta_port *kept, uint16_t inside, uint16_t outside, const char *ip)
{
	char *copied = NULL;

	ip = outside && ip && *ip ? ip : NULL;
	if (!inside || (kept->inside && kept->inside < inside))
		return 0;
	if (kept->inside == inside && kept->outside) {
		if (!outside || kept->outside < outside)
			return 0;
		if (kept->outside == outside &&
		    strcmp(kept->outside_ip ? kept->outside_ip : "", ip ? ip : "") <= 0)
			return 0;
	}
	if (ip) {
		copied = copy(ip, MAX_NAME);
		if (!copied)
			return -ENOMEM;
	}
	free(kept->outside_ip);
	*kept = (struct meta_port){.inside = inside, .outside = outside, .outside_ip = copied};
	return 0;
}

/* A list's: [{"IP":…,"PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]. */
static int add_listed_ports(struct meta *m, const json_t *ports)
{
	const json_t *j;
	int err = 0;
	size_t i;

	json_array_foreach(ports, i, j)
	{
		const char *type = json_string_value(json_object_get(j, "Type"));

		if (!err && type && strcmp(type, "tcp") == 0)
			err = offer_port(&m->port, port_number(json_object_get(j, "PrivatePort")),
					 port_number(json_object_get(j, "PublicPort")),
					 json_string_value(json_object_get(j, "IP")));
	}
	return err;
}

/* An inspect's: {"80/tcp":[{"HostIp":…,"HostPort":"8080"}],"53/udp":null}. */
static int add_inspected_ports(struct meta *m, json_t *ports)
{
	const char *name;
	json_t *bindings;
	int err = 0;

	json_object_foreach(ports, name, bindings)
	{
		char *end;
		unsigned long n = strtoul(name, &end, 10);
		uint16_t inside = n <= UINT16_MAX ? (uint16_t)n : 0;
		const json_t *j;
		size_t i;

		if (strcmp(end, "/tcp") != 0)
			continue;
		if (!err)
			err = offer_port(&m->port, inside, 0, NULL);
		json_array_foreach(bindings, i, j)
		{
			if (!err)
				err = offer_port(&m->port, inside,
						 port_number(json_object_get(j, "HostPort")),
						 json_string_value(json_object_get(j, "HostIp")));
		}
	}
	return err;
}

/* "State" is a word in a list, and an object in an inspect. */
static const char *state_of(const json_t *object)
{
	const json_t *state = json_object_get(object, "State");
	const char *word = json_string_value(state);

	if (!word)
		word = json_string_value(json_object_get(state, "Status"));
	return word ? word : "";
}

/* Networks and ports, of a list's entry or of an inspect. */
static int add_details(struct meta *m, const json_t *object)
{
	/* Docker's, then podman's. */
	static const char *const before[] = {"created", "configured", "initialized", NULL};
	static const char *const after[] = {"exited", "dead", "removing", "stopped", NULL};
	const char *state = state_of(object);
	const json_t *settings = json_object_get(object, "NetworkSettings");
	int err =
		add_string(&m->network_mode, json_object_get(object, "HostConfig"), "NetworkMode");

	if (!err)
		err = add_network(m, json_object_get(settings, "Networks"));
	if (!err)
		err = add_network_of(m);
	if (!err)
		err = add_listed_ports(m, json_object_get(object, "Ports"));
	if (!err)
		err = add_inspected_ports(m, json_object_get(settings, "Ports"));
	m->detailed = !listed(before, state) || m->network_ip;
	m->over = listed(after, state);
	return err;
}

/* It becomes a part of every path asked for. */
static bool version_valid(const char *version)
{
	return strlen(version) <= MAX_VERSION && version[0] >= '1' && version[0] <= '9' &&
	       version[strspn(version, "0123456789.")] == '\0';
}

/* By the numbers between the dots. */
static int version_cmp(const char *a, const char *b)
{
	while (*a || *b) {
		unsigned long x = strtoul(a, (char **)&a, 10), y = strtoul(b, (char **)&b, 10);

		if (x != y)
			return x < y ? -1 : 1;
		a += *a == '.';
		b += *b == '.';
	}
	return 0;
}

int docker_json__version(const char *data, size_t len, char **ret_version)
{
	_json_ json_t *root = parse(data, len);
	const char *version, *min;
	char *text;

	if (!json_is_object(root) || string(root, "ApiVersion", &version) || !version ||
	    string(root, "MinAPIVersion", &min))
		return -EBADMSG;
	if (!version_valid(version) || (min && *min && !version_valid(min)))
		return -EBADMSG;
	/* A newer engine speaks older versions too, but not all of them. */
	if (version_cmp(version, NEWEST_VERSION) > 0)
		version =
			min && *min && version_cmp(min, NEWEST_VERSION) > 0 ? min : NEWEST_VERSION;
	text = strdup(version);
	if (!text)
		return -ENOMEM;
	*ret_version = text;
	return 0;
}

int docker_json__inspect(const char *data, size_t len, struct meta **ret_meta)
{
	_json_ json_t *root = parse(data, len);
	_meta_ struct meta *m = NULL;
	const char *id, *name, *image = NULL;
	const json_t *config;
	int err;

	if (!json_is_object(root) || string(root, "Id", &id) || string(root, "Name", &name))
		return -EBADMSG;
	config = json_object_get(root, "Config");
	if (!json_is_object(config) || string(config, "Image", &image))
		return -EBADMSG;
	err = new_meta(id, name, image, &m);
	if (!err)
		err = add_labels(m, json_object_get(config, "Labels"), NULL);
	if (!err)
		err = add_string(&m->image_id, root, "Image");
	if (!err)
		err = add_details(m, root);
	if (err)
		return err;
	*ret_meta = TAKE_PTR(m);
	return 0;
}

/* The container's own among its names: the others are "/other/alias", made by --link. */
static int own_name(const json_t *names, const char **ret_name)
{
	const char *own = NULL, *first = NULL;
	const json_t *j;
	size_t i;

	if (names && !json_is_null(names) && !json_is_array(names))
		return -EBADMSG;
	json_array_foreach(names, i, j)
	{
		const char *name = json_string_value(j);

		if (!name)
			return -EBADMSG;
		if (!first)
			first = name;
		if (!own && *name && !strchr(name + 1, '/'))
			own = name;
	}
	*ret_name = own ? own : first;
	return 0;
}

static int list_entry(const json_t *entry, struct meta **ret)
{
	_meta_ struct meta *m = NULL;
	const char *id, *name, *image;
	int err;

	if (!json_is_object(entry) || string(entry, "Id", &id) || string(entry, "Image", &image))
		return -EBADMSG;
	err = own_name(json_object_get(entry, "Names"), &name);
	if (!err)
		err = new_meta(id, name, image, &m);
	if (!err)
		err = add_labels(m, json_object_get(entry, "Labels"), NULL);
	if (!err)
		err = add_string(&m->image_id, entry, "ImageID");
	if (!err)
		err = add_details(m, entry);
	if (err)
		return err;
	*ret = TAKE_PTR(m);
	return 0;
}

int docker_json__list(const char *data, size_t len, void (*fn)(void *ctx, struct meta *m),
		      void *ctx)
{
	_json_ json_t *root = parse(data, len);
	_free_ struct meta **metas = NULL;
	size_t n = 0, size;
	int err = 0;

	if (!json_is_array(root))
		return -EBADMSG;
	size = json_array_size(root);
	metas = calloc(size + 1, sizeof(struct meta *));
	if (!metas)
		return -ENOMEM;
	while (n < size && !err) {
		err = list_entry(json_array_get(root, n), &metas[n]);
		if (!err)
			n++;
	}
	for (size_t i = 0; i < n; i++) {
		if (err)
			meta__unref(metas[i]);
		else
			fn(ctx, metas[i]);
	}
	return err;
}

static int network_entry(const json_t *entry, struct meta_network **ret)
{
	struct meta_network *n = meta_network__new();
	const char *name;
	json_t *labels = json_object_get(entry, "Labels"), *value;
	int err = n ? add_string(&n->id, entry, "Id") : -ENOMEM;

	if (!err && !n->id)
		err = -EBADMSG;
	if (!err)
		err = add_string(&n->name, entry, "Name");
	if (!err)
		err = add_string(&n->scope, entry, "Scope");
	json_object_foreach(labels, name, value)
	{
		_free_ char *text = NULL;

		if (err || !json_is_string(value) || strlen(name) > MAX_NAME ||
		    n->n_labels == MAX_LABELS)
			continue;
		text = copy(json_string_value(value), MAX_VALUE);
		err = text ? meta_network__add_label(n, name, text) : -ENOMEM;
	}
	if (err) {
		meta_network__unref(n);
		return err;
	}
	if (n->n_labels)
		qsort(n->labels, n->n_labels, sizeof(*n->labels), label__cmp);
	n->internal = json_is_true(json_object_get(entry, "Internal"));
	n->ingress = json_is_true(json_object_get(entry, "Ingress"));
	*ret = n;
	return 0;
}

int docker_json__networks(const char *data, size_t len,
			  void (*fn)(void *ctx, struct meta_network *n), void *ctx)
{
	_json_ json_t *root = parse(data, len);
	struct meta_network *n;
	const json_t *entry;
	size_t i;
	int err;

	if (!json_is_array(root))
		return -EBADMSG;
	json_array_foreach(root, i, entry)
	{
		err = network_entry(entry, &n);
		if (err == -ENOMEM)
			return err;
		if (!err)
			fn(ctx, n);
	}
	return 0;
}

static enum docker_event_action event_action(const char *action)
{
	static const struct {
		const char *name;
		enum docker_event_action action;
	} actions[] = {
		{"create", DOCKER_EVENT_CREATE},
		{"start", DOCKER_EVENT_START},
		{"rename", DOCKER_EVENT_RENAME},
		{"destroy", DOCKER_EVENT_DESTROY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(action, actions[i].name) == 0)
			return actions[i].action;
	}
	return DOCKER_EVENT_OTHER;
}

/* The attributes are the container's labels, then name and image (which hide labels of these
 * names), and for a rename oldName. */
static int event_meta(const char *id, json_t *attributes, enum docker_event_action action,
		      struct meta **ret)
{
	const char *except[] = {"name", "image", "oldName", NULL};
	_meta_ struct meta *m = NULL;
	const char *name, *image;
	int err;

	if (!json_is_object(attributes) || string(attributes, "name", &name) ||
	    string(attributes, "image", &image))
		return -EBADMSG;
	if (action != DOCKER_EVENT_RENAME)
		except[2] = NULL;
	err = new_meta(id, name, image, &m);
	if (!err)
		err = add_labels(m, attributes, except);
	if (err)
		return err;
	*ret = TAKE_PTR(m);
	return 0;
}

int docker_json__event(const char *data, size_t len, enum docker_event_action *ret_action,
		       char **ret_id, struct meta **ret_meta)
{
	_json_ json_t *root = parse(data, len);
	enum docker_event_action action = DOCKER_EVENT_OTHER;
	const char *type, *word, *id = NULL;
	_meta_ struct meta *m = NULL;
	_free_ char *id_copy = NULL;
	const json_t *actor;
	int err;

	if (!json_is_object(root) || string(root, "Type", &type) || !type ||
	    string(root, "Action", &word) || !word)
		return -EBADMSG;
	if (strcmp(type, "network") == 0 &&
	    (strcmp(word, "connect") == 0 || strcmp(word, "disconnect") == 0)) {
		actor = json_object_get(root, "Actor");
		if (string(json_object_get(actor, "Attributes"), "container", &id) || !id_valid(id))
			return -EBADMSG;
		action = DOCKER_EVENT_NETWORK;
		id_copy = strdup(id);
		if (!id_copy)
			return -ENOMEM;
	}
	if (strcmp(type, "container") == 0) {
		actor = json_object_get(root, "Actor");
		if (!json_is_object(actor) || string(actor, "ID", &id) || !id_valid(id))
			return -EBADMSG;
		action = event_action(word);
		if (action != DOCKER_EVENT_OTHER && action != DOCKER_EVENT_DESTROY) {
			err = event_meta(id, json_object_get(actor, "Attributes"), action, &m);
			if (err)
				return err;
		}
		id_copy = strdup(id);
		if (!id_copy)
			return -ENOMEM;
	}
	*ret_action = action;
	*ret_id = TAKE_PTR(id_copy);
	*ret_meta = TAKE_PTR(m);
	return 0;
}
