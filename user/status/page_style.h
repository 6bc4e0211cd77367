/* SPDX-License-Identifier: Apache-2.0 */
/* What of the page is the same each time: how it begins, and its style sheet. */
#ifndef NOTAIL_STATUS_PAGE_STYLE_H
#define NOTAIL_STATUS_PAGE_STYLE_H

extern const char page_head[];
extern const char page_style[];

#endif
