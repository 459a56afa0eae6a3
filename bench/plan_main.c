/* dmlplan: options, then a config, then one pipeline played in virtual time. No MPI is started. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/environment.h"
#include "bench/options.h"
#include "bench/plan.h"

struct options {
    const char *config;
    struct option_values with, sets;
    bool json, draw, keys, version, help;
};

static const struct program_option table[] = {
    { "--config", "FILE", "play the pipeline of this config (as given, else in configs/)",
      .offset = offsetof(struct options, config) },
    { "--with", "FILE", "a config whose keys go over those of --config; repeatable", .offset = offsetof(struct options, with),
      .repeats = true },
    { "--set", "KEY=VALUE", "set one key, after the files; VALUE is JSON, or else a string; repeatable",
      .offset = offsetof(struct options, sets), .repeats = true },
    { "--json", NULL, "print one JSON object", .offset = offsetof(struct options, json) },
    { "--draw", NULL, "draw the schedule, one row a stage", .offset = offsetof(struct options, draw) },
    { "--keys", NULL, "list every config key; dmlplan's own begin with plan.", .offset = offsetof(struct options, keys) },
    { "--version", NULL, "print the version", .offset = offsetof(struct options, version) },
    { "--help", NULL, "print this", .offset = offsetof(struct options, help) },
    { 0 },
};

static void print_help(void)
{
    printf("usage: dmlplan [--config FILE] [--set plan.KEY=VALUE ...] [--json | --draw]\n\n");
    options_print(table);
    printf("\nexit codes: 0 ok, 1 out of memory, 2 bad usage or config\n");
}

static int terminal_columns(void)
{
    enum { OTHERWISE = 120, LEAST = 40 };
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= LEAST ? size.ws_col : OTHERWISE;
}

static status show(const struct options *o, const struct config *c)
{
    struct plan plan;
    TRY(plan_make(&plan, c));
    if (o->json)
        plan_print_json(&plan, stdout);
    else if (o->draw)
        plan_draw(&plan, terminal_columns(), stdout);
    else
        plan_print(&plan, stdout);
    plan_free(&plan);
    return STATUS_OK;
}

static status load_and_show(const struct options *o)
{
    struct config c;
    TRY(config_load(&c, o->config, o->with.items, o->with.count, o->sets.items, o->sets.count));
    const status s = show(o, &c);
    config_free(&c);
    return s;
}

static status run(struct options *o, int argc, char **argv)
{
    TRY(options_parse("dmlplan", table, o, argc, argv));
    if (o->help)
        print_help();
    else if (o->version)
        printf("dmlplan %s\n", environment_version());
    else if (o->keys)
        config_print_keys(stdout);
    else if (o->json && o->draw)
        return status_fail(STATUS_USAGE, "--json and --draw: one of them at a time");
    else
        return load_and_show(o);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct options options = { 0 };
    status outcome = run(&options, argc, argv);
    if (outcome == STATUS_OK)
        outcome = options_printed();
    if (outcome != STATUS_OK)
        fprintf(stderr, "dmlplan: %s\n", status_message());
    options_free(table, &options);
    return outcome;
}
