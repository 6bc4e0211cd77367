/* SPDX-License-Identifier: Apache-2.0 */
/* For what in this room is made of libevent itself. */
#ifndef NOTAIL_IO_LOOP_BASE_H
#define NOTAIL_IO_LOOP_BASE_H

struct event_base;
struct loop;

struct event_base *loop__base(struct loop *l);

#endif
