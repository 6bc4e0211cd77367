/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notail's command line. Parsing prints one clear line for what it refuses, and never exits: only
 * main decides.
 */
#ifndef NOTAIL_CONFIG_OPTIONS_H
#define NOTAIL_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "batch/batch.h"
#include "capture/capture.h"

struct config;
struct config_server;
struct object_list;

enum options_action {
	ACTION_RUN,
	ACTION_PROBE,
	ACTION_CHECK_CONFIG,
	ACTION_CHECK_LOKI,
	ACTION_SUPPORT_BUNDLE,
	ACTION_EVENTS,
	ACTION_UNPIN,
	ACTION_VERSION
};

/* Strings point into argv or are owned (options__free). */
struct options {
	enum options_action action;
	bool json;	 /* of probe's report */
	bool registered; /* of probe: what notails that run have registered */

	const char *config;	/* -c, or CONFIG_DEFAULT_PATH where it counts; NULL: none */
	const char *check_file; /* check-config's; NULL: with one of the next */
	const char *bundle;	/* support-bundle's file, "-": stdout; NULL: a name of its own */
	bool effective;		/* print what is in force */
	bool schema, defaults;	/* print the JSON Schema, the default file */

	bool to_stdout;
	enum batch_encoding format; /* of --stdout: BATCH_TEXT unless said */
	bool times;
	bool inspect;	      /* show what stages do */
	const char *loki_url; /* NULL: none */
	char *secret_url;     /* it has a user in it: ours, and overwritten in argv; NULL: not */
	const char *tenant;   /* NULL: none */

	const char **containers; /* --container, in order; n_containers of them */
	size_t n_containers;
	const char **cgroups; /* --cgroup */
	size_t n_cgroups;
	const char **labels; /* --label K=V */
	size_t n_labels;
	const char **streams; /* --stream */
	size_t n_streams;

	pid_t pid;	/* --pid; 0: none */
	char **command; /* `-- CMD`: NULL-terminated, into argv; NULL: none */

	const char *docker_host; /* NULL: DOCKER_DEFAULT_HOST, quietly absent where there is no
				    socket */
	bool no_docker;

	enum tap_mode tap;
	enum hook_set hooks;
	const char *pins;	    /* where what is captured is pinned; NULL: nowhere */
	uint64_t orphan_timeout_ns; /* 0: default */
	bool detach_on_exit;
	bool may_pin; /* it is a service */
	bool force;   /* of unpin */
	bool exec_sessions;
	enum attribution attribution;
	size_t rate_limit, rate_burst;	   /* bytes/s, bytes; 0: none, default */
	size_t ring_bytes;		   /* 0: default */
	size_t max_line_size;		   /* 0: default */
	size_t batch_bytes;		   /* 0: default */
	uint64_t batch_wait_ns;		   /* 0: default */
	const struct object_list *clients; /* of struct config_client, the file's; NULL: none */
	uint64_t park_max_ns;		   /* wait for a container's name; 0: default */
	size_t max_in_flight;		   /* 0: default */
	const char *host;		   /* --host; NULL: the host's name */
	const char *listen;		   /* of the status server; NULL or empty: none */
	const char *metrics_listen;	   /* likewise */
	bool must_listen; /* somebody asked for it: it is an error when it cannot be */
	const struct config_server *server; /* the file's; NULL: none */
	bool runtime_reload;
	bool service;		     /* `notail run', of what is pushed */
	uint64_t shutdown_ns;	     /* for what is not delivered at the end; 0: 10 s */
	const char *spool_directory; /* --spool-dir, or the file's; NULL: the default; off: none */
	const struct config_spool *spool; /* the file's; NULL: defaults */
	enum log_level log_level;
	enum log_format log_format;
	int seccomp;		     /* enum filter_mode */
	uint64_t canary_interval_ns; /* 0: none */
	bool stats;
	/* On the command line: a configuration file does not change it. */
	struct {
		bool tap, hooks, attribution, log_level, log_format, listen, pins;
	} given;
};

/*
 * 0: *ret is filled in, to be given to options__free. 1: help was printed, there is nothing more to
 * do. -EINVAL: what is wrong was printed, one line. -ENOMEM.
 */
int options__parse(struct options *ret, int argc, char **argv);
void options__free(struct options *o);
/* Not what somebody looks at on a terminal: that listens only when it is told to. */
bool options__is_service(const struct options *o);

/*
 * Fills in what the command line left open from the file, whose strings are borrowed. Then there
 * has to be somewhere to send the lines: -EINVAL, and one line was printed. -ENOMEM.
 */
int options__apply(struct options *o, const struct config *c);

#endif
