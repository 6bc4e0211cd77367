/* SPDX-License-Identifier: Apache-2.0 */
/* `notail test-pipeline`: relabelling rules and stages of a configuration, on standard input. */
#ifndef NOTAIL_TEST_PIPELINE_H
#define NOTAIL_TEST_PIPELINE_H

/* argv[0] is the command's name. The exit status: 0; 1: the configuration, or input or output; 2:
 * the command line. What is wrong was printed. */
int test_pipeline__main(int argc, char **argv);

#endif
