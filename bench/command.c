/* posix_spawn and sigtimedwait.
 *
 * The child gets a process group of its own: Ctrl-C would otherwise reach it twice, from the terminal and from here, and mpirun
 * takes a second one for impatience. Signals stay blocked here and are fetched one by one, so nothing happens between any two
 * lines.
 */
#include "bench/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void command_add(struct command *c, const char *format, ...)
{
    va_list values;
    char *word, **words = realloc(c->words, ((size_t)c->count + 2) * sizeof *words);
    va_start(values, format);
    if (!words || vasprintf(&word, format, values) < 0)
        word = NULL;
    va_end(values);
    if (words)
        c->words = words;
    if (!word || !words) {
        c->out_of_memory = true;
        return;
    }
    c->words[c->count++] = word;
    c->words[c->count] = NULL;
}

void command_free(struct command *c)
{
    for (int i = 0; i < c->count; i++)
        free(c->words[i]);
    free(c->words);
    *c = (struct command){ 0 };
}

static void print_word(const char *word, FILE *out)
{
    static const char *const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%";
    if (*word && !word[strspn(word, plain)]) {
        fputs(word, out);
        return;
    }
    putc('\'', out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            putc(*word, out);
    putc('\'', out);
}

void command_print(const struct command *c, FILE *out)
{
    for (int i = 0; i < c->count; i++) {
        if (i)
            putc(' ', out);
        print_word(c->words[i], out);
    }
    putc('\n', out);
}

/* ---- finding it ---------------------------------------------------------------------------------------------------------- */

static bool is_program(int folder_bytes, const char *folder, const char *name, char **found)
{
    char *path;
    struct stat about;
    if (asprintf(&path, "%.*s/%s", folder_bytes, folder, name) < 0)
        return false;
    const bool is = stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
    *found = is ? realpath(path, NULL) : NULL;
    free(path);
    return *found != NULL;
}

static bool on_path(const char *name, char **found)
{
    for (const char *folder = getenv("PATH"); folder; folder = strchr(folder, ':')) {
        folder += *folder == ':';
        const int bytes = (int)strcspn(folder, ":");
        if (bytes && is_program(bytes, folder, name, found))
            return true;
    }
    return false;
}

bool command_exists(const char *name)
{
    char *found = NULL;
    const char *slash = strrchr(name, '/');
    const bool exists = slash ? is_program((int)(slash - name), name, slash + 1, &found) : on_path(name, &found);
    free(found);
    return exists;
}

status command_find(const char *name, const char *const *places, const char *remedy, char **found)
{
    char own[4096];
    const ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    own[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(own, '/');
    const int folder_bytes = slash ? (int)(slash - own) : 0;
    for (; *places; places++)
        if (is_program(folder_bytes, own, *places, found))
            return STATUS_OK;
    if (on_path(name, found))
        return STATUS_OK;
    return status_fail(STATUS_USAGE, "%s is neither in %.*s nor on the PATH (%s)", name, folder_bytes, own, remedy);
}

/* ---- running it ---------------------------------------------------------------------------------------------------------- */

static sigset_t handed_on(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    return set;
}

/* Where a child prints; -1: as this program. */
struct outputs {
    int out, err;
};

/* In the child. Returns only if there is nothing to become. */
static void become(char **words, struct outputs to, const sigset_t *mask)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    if (to.out >= 0)
        dup2(to.out, STDOUT_FILENO);
    if (to.err >= 0)
        dup2(to.err, STDERR_FILENO);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(words[0], words);
}

/* The child, when it runs its program; or minus an errno, the child's own if it found none. */
static pid_t spawn(char **words, struct outputs to, const sigset_t *mask)
{
    int report[2], error = 0;
    if (pipe2(report, O_CLOEXEC))
        return -errno;
    const pid_t child = fork();
    if (child == 0) {
        become(words, to, mask);
        error = errno;
        _exit(write(report[1], &error, sizeof error) < 0);
    }
    if (child < 0)
        error = errno;
    close(report[1]);
    if (child > 0 && read(report[0], &error, sizeof error) > 0)
        waitpid(child, NULL, 0);
    close(report[0]);
    return error ? -error : child;
}

/* `timeout` and others signal the group and the process: what comes twice within a second is one wish. */
static void hand_on(int signal, pid_t whom, time_t last[NSIG])
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > last[signal])
        kill(whom, signal);
    last[signal] = now.tv_sec + 1;
}

static int wait_for(pid_t child, bool signals_leader, const sigset_t *signals)
{
    time_t last[NSIG] = { 0 };
    int how, number;
    while (waitpid(child, &how, WNOHANG) == 0) {
        if (sigwait(signals, &number) == 0 && number != SIGCHLD)
            hand_on(number, signals_leader ? child : -child, last);
    }
    for (number = 1; number < NSIG; number++)
        if (last[number])
            signal(number, SIG_IGN); /* if it comes again now, this program has something to say first */
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

/* ---- leaving lines out --------------------------------------------------------------------------------------------------- */

static int copy_without(const char *unwanted, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, in) > 0)
        if (strncmp(line, unwanted, strlen(unwanted)) != 0)
            fputs(line, stdout);
    free(line);
    return ferror(stdout) || fflush(stdout);
}

/* A process that copies to stdout what comes in by *end, until all have closed that. Signals are blocked, so it outlives who
 * writes. */
static pid_t start_filter(const char *unwanted, int *end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    const pid_t filter = fork();
    if (filter == 0) {
        close(ends[1]);
        setvbuf(stdout, NULL, _IOLBF, 0);
        _exit(copy_without(unwanted, fdopen(ends[0], "r")));
    }
    close(ends[0]);
    *end = ends[1];
    return filter;
}

static status end_filter(pid_t filter, int end)
{
    int how = 0;
    close(end);
    if (waitpid(filter, &how, 0) == filter && how == 0)
        return STATUS_OK;
    return status_fail(STATUS_FAILED, "what was to be printed could not be written");
}

/* With the signals blocked. Minus an errno if there is no such program. */
static pid_t run_words(const struct command *c, struct outputs to, const sigset_t *signals, const sigset_t *before, int *code)
{
    const pid_t child = spawn(c->words, to, before);
    if (child > 0)
        *code = wait_for(child, c->signals_leader, signals);
    return child;
}

status command_run(const struct command *c, const char *package, int output, int *code)
{
    const sigset_t signals = handed_on();
    struct outputs to = { output, output };
    sigset_t before;
    if (c->out_of_memory || c->count == 0)
        return status_fail(STATUS_FAILED, "no memory for a command");
    fflush(NULL);
    signal(SIGCHLD, SIG_DFL); /* ignored by whoever started this program, it would never come */
    sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t filter = c->unwanted && output < 0 ? start_filter(c->unwanted, &to.out) : 0;
    const pid_t child = filter < 0 ? -errno : run_words(c, to, &signals, &before, code);
    const status filtered = filter > 0 ? end_filter(filter, to.out) : STATUS_OK;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child > 0)
        return filtered;
    if (child == -ENOENT)
        return status_fail(STATUS_USAGE, "%s is not on the PATH (Debian: apt-get install %s)", c->words[0], package);
    return status_fail(STATUS_FAILED, "%s could not be started (%s)", c->words[0], strerror(-child));
}
