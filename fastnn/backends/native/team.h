/* Threads that share the parts of one step: what they agree on, without locks.
 *
 * The thread that runs a plan hands out one step at a time; helpers that wait for it, and that
 * thread itself, claim its parts one by one. A helper that comes late, or never, costs nothing:
 * the others claim its share. A helper spins for a moment, then yields, until it is dismissed.
 * Included by executor.pyx. A compiler without GNU's atomics gets no helpers.
 */
#ifndef FASTNN_TEAM_H
#define FASTNN_TEAM_H

#include <stdint.h>

#define FASTNN_CACHE_LINE 64
#define FASTNN_SPINS 32     /* pauses before a thread yields: both may run on one core */

struct team {
    int64_t ticket;         /* turn << 32 | parts << 16 | parts that were claimed */
    char own_line_1[FASTNN_CACHE_LINE - sizeof(int64_t)];
    int64_t finished;       /* parts of this turn */
    char own_line_2[FASTNN_CACHE_LINE - sizeof(int64_t)];
    void *work;             /* the step of this turn */
    int64_t dismissed;
};

#if defined(__GNUC__) || defined(__clang__)
#define FASTNN_TEAMS 1
#if defined(_WIN32)
#include <windows.h>
#define FASTNN_YIELD() SwitchToThread()
#else
#include <sched.h>
#define FASTNN_YIELD() sched_yield()
#endif
#if defined(__x86_64__) || defined(__i386__)
#define FASTNN_PAUSE() __builtin_ia32_pause()
#else
#define FASTNN_PAUSE() __asm__ volatile("" ::: "memory")
#endif
#define FASTNN_LOAD(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define FASTNN_STORE(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)
#define FASTNN_ADD(place, value) __atomic_fetch_add(place, value, __ATOMIC_ACQ_REL)
#define FASTNN_EXCHANGE(place, old, value) \
    __atomic_compare_exchange_n(place, old, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#else
#define FASTNN_TEAMS 0
#define FASTNN_YIELD()
#define FASTNN_PAUSE()
#define FASTNN_LOAD(place) (*(place))
#define FASTNN_STORE(place, value) (*(place) = (value))
#define FASTNN_ADD(place, value) (*(place) += (value))
#define FASTNN_EXCHANGE(place, old, value) (*(place) = (value), 1)
#endif

static inline void team_rest(int64_t *spins)
{
    if (++*spins < FASTNN_SPINS)
        FASTNN_PAUSE();
    else
        FASTNN_YIELD();
}

/* Hand out a step of so many parts. All parts of the one before are finished. */
static inline void team_begin(struct team *t, void *work, int64_t parts)
{
    const int64_t turn = (t->ticket >> 32) + 1;
    t->work = work;
    FASTNN_STORE(&t->finished, 0);
    FASTNN_STORE(&t->ticket, (turn & 0x7fffffff) << 32 | parts << 16);
}

/* The number of a part that is now the caller's, or -1: all are claimed. */
static inline int64_t team_claim(struct team *t)
{
    int64_t seen = FASTNN_LOAD(&t->ticket);
    while ((seen & 0xffff) < (seen >> 16 & 0xffff))
        if (FASTNN_EXCHANGE(&t->ticket, &seen, seen + 1))
            return seen & 0xffff;
    return -1;
}

static inline void team_finish(struct team *t)
{
    FASTNN_ADD(&t->finished, 1);
}

static inline void team_wait(struct team *t, int64_t parts)
{
    int64_t spins = 0;
    while (FASTNN_LOAD(&t->finished) < parts)
        team_rest(&spins);
}

static inline void team_dismiss(struct team *t, int64_t dismissed)
{
    FASTNN_STORE(&t->dismissed, dismissed);
}

static inline int team_is_dismissed(struct team *t)
{
    return FASTNN_LOAD(&t->dismissed) != 0;
}

#endif
