/* Prints docs/config.md or docs/results.md as the program's tables have it: show_documents config|results. */
#include <stdio.h>
#include <string.h>

#include "bench/result.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "config") == 0)
        config_print_markdown(stdout);
    else if (argc == 2 && strcmp(argv[1], "results") == 0)
        result_print_markdown(stdout);
    else
        return 2;
    return 0;
}
