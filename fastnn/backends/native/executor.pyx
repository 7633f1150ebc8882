"""The native executor: a plan as an array of kernel calls, and the loops that run it.

Built once, for every processor; only the kernels are built per ISA. `Program` is what `native`
makes of a plan: addresses and sizes are resolved when it is made, so running a step is one call
through a pointer. Whole epochs run here without Python, the GIL or an allocation. Steps that are
worth it are cut into parts, which helper threads share (team.h); no result depends on the cuts.
"""
import sys

from numpy import empty, ndarray

from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
)
from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastnn.backends.native.control cimport control, kernel

cdef extern from * nogil:
    """
    #include <time.h>
    static double seconds_now(void) {
        struct timespec now;
    #ifdef CLOCK_MONOTONIC
        clock_gettime(CLOCK_MONOTONIC, &now);
    #else
        timespec_get(&now, TIME_UTC);
    #endif
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }

    /* 0 times a number is 0, unless that is NaN or infinite. */
    #define FASTNN_ALL_FINITE(real) \
        static int all_finite_##real(const real *x, int64_t n) \
        { \
            real sum = 0; \
            _Pragma("omp simd reduction(+:sum)") \
            for (int64_t i = 0; i < n; i++) \
                sum += x[i] * 0; \
            return sum == 0; \
        }
    FASTNN_ALL_FINITE(float)
    FASTNN_ALL_FINITE(double)
    """
    double seconds_now()
    bint all_finite_float(const float *x, int64_t n)
    bint all_finite_double(const double *x, int64_t n)

cdef extern from "processor.h" nogil:
    int runs_v2()
    int runs_v3()
    int runs_v4()
    unsigned int flush_denormals()
    void restore_denormals(unsigned int before)

cdef extern from "team.h" nogil:
    ctypedef struct team "struct team":
        void *work
    const int FASTNN_TEAMS
    void team_begin(team *t, void *work, int64_t parts)
    int64_t team_claim(team *t)
    void team_finish(team *t)
    void team_wait(team *t, int64_t parts)
    void team_rest(int64_t *spins)
    void team_dismiss(team *t, int64_t dismissed)
    bint team_is_dismissed(team *t)

include "step.pxi"

cdef struct group:          # steps: first .. batch for each chunk, batch .. updates once a batch,
    int64_t first, batch, updates, last     # updates .. last every so many batches
    int64_t every
    control *state

cdef struct output:
    const char *source
    char *target
    int64_t bytes


cdef enum:
    BLOCKS = 5              # of a program
    SCRATCH = 3             # the number of that one
    ENOUGH_ROWS = 128           # a plan with room for so many does well for more of them

cdef double GATHER_NS = 0.1     # of a byte


def runs(isa):
    """Whether this processor runs an ISA build."""
    if isa == "v4":
        return bool(runs_v4())
    if isa == "v3":
        return bool(runs_v3())
    if isa == "v2":
        return bool(runs_v2())
    return isa == "base"


cdef class Program:
    """A plan, ready to run. `Job` and arrays are checked by the caller.

    Parameters
    ----------
    lowered : tuple
        What `NativeExecutor._lowered` makes of a plan. A place in it is (block, offset): the number
        of a block, from 1, and where it begins there; (0, 0) for none.
        steps : list of (address of the kernel, places, sizes, constants, gradients, once, cuts)
            `sizes` holds ints, or (each,) for a size that is `each` times the rows; `gradients` is
            the bit mask of the outputs that add up over the chunks of a batch. `cuts` is None or
            (strides, length, counted, grain, alone, workspace, cost), the fields of `step`.
        groups : list of (first, batch, updates, last, every, place of the control record)
        feeds : list of (place, number of the type for the gather, bytes per row)
        outputs : list of (place, bytes per row)
        count : of the accumulators, with which the scratch block begins
        shuffle, gather : addresses of the kernels that draw the order of an epoch, and gather rows
        capacity : int
        plain : (shape of a row of the input, of the output, dtype of the output, reads) or None
            Of a plan with one input, of floats, and one output: what `predict_at_once` needs.
            `reads` are (step, place number) of all that read the input, if they can read the
            caller's array.
    blocks : tuple of ndarray
        Model, training, scratch, control records, and workspaces of the parts of a step but the
        first, one after the other.
    threads : int
        Threads that may share a step, 1 for none.
    room : int
        Bytes of one of these workspaces.
    """
    cdef step *steps
    cdef group *groups
    cdef step *feeds        # the gather of each: from the caller's array into scratch
    cdef output *outputs
    cdef int64_t step_count, group_count, feed_count, output_count, sum_count, capacity, rows
    cdef double *sums
    cdef kernel shuffle
    cdef team team
    cdef bint helped, trains
    cdef readonly int64_t threads
    cdef char *spare
    cdef int64_t spare_bytes
    cdef tuple plain
    cdef int64_t *reads     # pairs of a step and one of its pointers
    cdef int64_t read_count
    cdef tuple blocks       # which live as long as the program
    cdef Py_buffer[BLOCKS] views
    cdef int opened

    def __cinit__(self, tuple lowered, tuple blocks, int64_t threads, int64_t room):
        cdef int64_t i
        cdef size_t shuffle, gather
        cdef char *bases[BLOCKS + 1]
        cdef list steps, groups, feeds, outputs
        cdef tuple plain
        steps, groups, feeds, outputs, count, shuffle, gather, capacity, plain = lowered
        bases[0] = NULL
        for i in range(BLOCKS):
            PyObject_GetBuffer(blocks[i], &self.views[i], PyBUF_WRITABLE)
            self.opened += 1
            bases[i + 1] = <char *>self.views[i].buf
        self.threads = threads
        self.spare = bases[BLOCKS]
        self.spare_bytes = room
        self.steps = <step *>calloc(max(len(steps), 1), sizeof(step))
        self.groups = <group *>calloc(max(len(groups), 1), sizeof(group))
        self.feeds = <step *>calloc(max(len(feeds), 1), sizeof(step))
        self.outputs = <output *>calloc(max(len(outputs), 1), sizeof(output))
        if not (self.steps and self.groups and self.feeds and self.outputs):
            raise MemoryError("no memory for the steps of a plan")
        self.step_count = len(steps)
        self.group_count = len(groups)
        self.feed_count = len(feeds)
        self.output_count = len(outputs)
        for i in range(self.step_count):
            fill(&self.steps[i], steps[i], bases, self.threads)
        for i in range(self.group_count):
            first, batch, updates, last, every, place = groups[i]
            self.groups[i] = group(first, batch, updates, last, every, NULL)
            self.groups[i].state = <control *>at(place, bases)
        for i in range(self.feed_count):
            place, kind, width = feeds[i]
            cuts = [width, 0, 0], 0, 0, 1, 0, -1, GATHER_NS * width
            places = [place, (0, 0), (0, 0)]
            described = gather, places, [0, 0, 0, 0, kind, *[0] * 11], (), 0, False, cuts
            fill(&self.feeds[i], described, bases, self.threads)
        for i in range(self.output_count):
            place, width = outputs[i]
            self.outputs[i].source = at(place, bases)
            self.outputs[i].bytes = width
        self.sums = <double *>bases[SCRATCH]
        self.sum_count = count
        self.shuffle = <kernel>shuffle
        self.capacity = capacity
        self.rows = -1
        self.plain = plain
        self.blocks = blocks
        places = plain[3] if plain is not None else []
        self.reads = <int64_t *>calloc(max(2 * len(places), 1), sizeof(int64_t))
        if self.reads == NULL:
            raise MemoryError("no memory for the steps of a plan")
        self.read_count = len(places)
        for i in range(self.read_count):
            self.reads[2 * i], self.reads[2 * i + 1] = places[i]

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.opened):
            PyBuffer_Release(&self.views[i])
        for i in range(self.step_count):
            free(self.steps[i].shares)
        for i in range(self.feed_count):
            free(self.feeds[i].shares)
        free(self.reads)
        free(self.steps)
        free(self.groups)
        free(self.feeds)
        free(self.outputs)

    @property
    def scratch(self):
        """Its scratch block."""
        return self.blocks[SCRATCH - 1]

    def gradients(self, arrays, int64_t rows, int number, int64_t first_row, int64_t batch_rows):
        """Forward, loss and backward of one group on one batch."""
        cdef Py_buffer *views = NULL
        try:
            views = self.open_feeds(arrays)
            with nogil:
                memset(self.sums, 0, self.sum_count * sizeof(double))
                self.batch(number, NULL, 0, rows, batch_rows, first_row)
        finally:
            self.close(views, self.feed_count)

    def update(self, int number):
        """The updates of one group."""
        cdef group g = self.groups[number]
        with nogil:
            self.run(g.updates, g.last)
        g.state.iteration += 1

    def train(self, job):
        """Carry on with a job; its epoch and batch say where it stopped.

        They are set here, before Python runs again: an interrupt is raised as soon as it does.
        """
        cdef Py_buffer *views = NULL
        cdef Py_buffer order_view, sums_view, rates_view
        cdef const double *table = NULL
        cdef int64_t rows = job.rows, batch_size = job.batch_size, past_epochs = job.past_epochs
        cdef int64_t epoch = job.epoch, epochs = job.epochs, max_epochs = job.max_epochs
        cdef int64_t batch = job.batch, batches = job.batches, max_batches = job.max_batches
        cdef int64_t opened = 0, kept = len(job.sums), steps = job.steps, passes = job.passes
        cdef int64_t done = 0
        cdef int64_t step = batch % max(steps, 1), row = epoch % max(kept, 1)
        cdef bint shuffled = job.shuffle, fresh = job.fresh, stop = job.stop_on_nan
        cdef bint stopped = False
        cdef int64_t *watched = NULL
        cdef int64_t watched_count = 0
        cdef int64_t look = 1       # at the clock again after so many batches
        cdef double seconds = job.seconds, began, now
        cdef unsigned int before
        cdef int64_t i
        try:
            views = self.open_feeds(job.feeds)
            PyObject_GetBuffer(job.order, &order_view, PyBUF_WRITABLE)
            opened = 1
            PyObject_GetBuffer(job.sums, &sums_view, PyBUF_WRITABLE)
            opened = 2
            if job.rates is not None:
                PyObject_GetBuffer(job.rates, &rates_view, PyBUF_SIMPLE)
                opened = 3
                table = <const double *>rates_view.buf
                max_batches = min(max_batches, <int64_t>len(job.rates))
            if stop:
                watched_count = len(job.watched)
                watched = <int64_t *>calloc(max(watched_count, 1), sizeof(int64_t))
                if watched == NULL:
                    raise MemoryError("no memory for the losses that are watched")
                for i in range(watched_count):
                    watched[i] = job.watched[i]
            with nogil:
                began = seconds_now()
                before = flush_denormals()
                while epoch < epochs and max_epochs > 0 and done < max_batches:
                    if step == 0 and fresh:
                        memset(self.sums, 0, self.sum_count * sizeof(double))
                    if batch == 0 and shuffled:
                        self.draw_order(<int64_t *>order_view.buf, rows, past_epochs + passes)
                    if table != NULL:
                        self.set_rate(table[done])
                    self.train_batch(<const int64_t *>order_view.buf, batch * batch_size,
                                     min(batch_size, rows - batch * batch_size))
                    batch += 1
                    step += 1
                    done += 1
                    stopped = stop and not self.is_finite(watched, watched_count)
                    if step == steps or batch == batches:
                        memcpy(<double *>sums_view.buf + row * self.sum_count, self.sums,
                               self.sum_count * sizeof(double))
                        step = 0
                        row = row + 1 if row + 1 < kept else 0
                        epoch += 1
                        max_epochs -= 1
                    if batch == batches:
                        batch = 0
                        passes += 1
                    if stopped:
                        break
                    if done >= look:
                        now = seconds_now() - began
                        if now > seconds:
                            break
                        # A look costs as much as a small step: wait for an eighth of those left.
                        look = done + 1 + <int64_t>(done * (seconds - now) / (8 * max(now, 1e-6)))
                restore_denormals(before)
        finally:
            if opened > 0:
                PyBuffer_Release(&order_view)
            if opened > 1:
                PyBuffer_Release(&sums_view)
            if opened > 2:
                PyBuffer_Release(&rates_view)
            free(watched)
            self.close(views, self.feed_count)
        job.epoch = epoch
        job.batch = batch
        job.passes = passes
        job.stopped_on_nan = stopped

    def forward(self, arrays, int64_t rows, results, sums=None):
        """Evaluate or predict all rows.

        `results` are arrays to fill, one per output; `sums` one for the accumulators.
        """
        cdef Py_buffer *views = NULL
        cdef Py_buffer *filled = NULL
        cdef Py_buffer sums_view
        cdef int64_t start = 0, count, i, opened = 0
        try:
            views = self.open_feeds(arrays)
            filled = <Py_buffer *>calloc(max(self.output_count, 1), sizeof(Py_buffer))
            if filled == NULL:
                raise MemoryError("no memory for the outputs of a plan")
            for i in range(self.output_count):
                PyObject_GetBuffer(results[i], &filled[i], PyBUF_WRITABLE)
                self.outputs[i].target = <char *>filled[i].buf
                opened += 1
            with nogil:
                memset(self.sums, 0, self.sum_count * sizeof(double))
                while start < rows:
                    count = min(self.capacity, rows - start)
                    self.set_rows(count)
                    self.gather(NULL, start)
                    self.run_forward(start, count)
                    start += count
            if sums is not None:
                PyObject_GetBuffer(sums, &sums_view, PyBUF_WRITABLE)
                memcpy(sums_view.buf, self.sums, self.sum_count * sizeof(double))
                PyBuffer_Release(&sums_view)
        finally:
            self.close(filled, opened)
            self.close(views, self.feed_count)

    def predict_at_once(self, x, double helpers_pay):
        """The output for an array; None if it is not one of finite numbers that fits the plan.

        Many rows come in chunks, unless the plan has room for few: a larger one is made then.
        None too if helpers would save so many nanoseconds: they are called elsewhere.
        """
        cdef Py_buffer view, filled
        cdef step *f = self.feeds
        cdef int64_t rows, i, count, start = 0
        cdef bint finite = True, in_place
        cdef void *scratch
        cdef tuple row, made_row
        if self.plain is None or type(x) is not ndarray:
            return None
        row, made_row, dtype, _ = self.plain
        try:
            PyObject_GetBuffer(x, &view, PyBUF_RECORDS_RO)
        except ValueError:      # it holds no numbers
            return None
        try:
            if view.ndim != len(row) + 1:
                return None
            for i in range(len(row)):
                if view.shape[i + 1] != <Py_ssize_t>row[i]:
                    return None
            rows = view.shape[0]
            if rows == 0 or (rows > self.capacity and self.capacity < ENOUGH_ROWS):
                return None
            if self.helpers_pay(helpers_pay, rows, self.capacity):
                return None
            describe(f, &view)
            made = empty((rows, *made_row), dtype)
            PyObject_GetBuffer(made, &filled, PyBUF_WRITABLE)
            self.outputs[0].target = <char *>filled.buf
            with nogil:
                scratch = f.p[0]
                in_place = self.read_count > 0 and rows > 1 and is_as_gathered(f)
                while finite and start < rows:
                    count = min(self.capacity, rows - start)
                    self.set_rows(count)
                    if in_place:
                        f.p[0] = <char *>f.p[1] + start * f.n[2]
                        self.read_from(f.p[0])
                    else:
                        self.gather(NULL, start)
                    # As gathered: a large double can be no finite float.
                    if f.n[4] == 0:
                        finite = all_finite_float(<const float *>f.p[0], count * f.n[3])
                    else:
                        finite = all_finite_double(<const double *>f.p[0], count * f.n[3])
                    if finite:
                        self.run_forward(start, count)
                    start += count
                if in_place:
                    f.p[0] = scratch
                    self.read_from(scratch)
            PyBuffer_Release(&filled)
            return made if finite else None
        except ValueError:      # its numbers are of a kind that is not gathered
            return None
        finally:
            PyBuffer_Release(&view)

    cdef void read_from(self, void *rows) noexcept nogil:
        """The steps that read the input find it here."""
        cdef int64_t i
        for i in range(self.read_count):
            self.steps[self.reads[2 * i]].p[self.reads[2 * i + 1]] = rows

    cdef void run_forward(self, int64_t start, int64_t rows) noexcept nogil:
        """All steps on the rows that were gathered; their outputs are rows start ... of all."""
        cdef int64_t i
        cdef output *o
        for i in range(self.group_count):
            self.run(self.groups[i].first, self.groups[i].batch)
        for i in range(self.output_count):
            o = &self.outputs[i]
            memcpy(o.target + start * o.bytes, o.source, rows * o.bytes)

    # --- helpers ---

    cpdef bint helpers_pay(self, double least, int64_t rows, int64_t batch_size, int64_t passes=1,
                           int64_t max_batches=INT64_MAX):
        """Whether helpers save so many nanoseconds, as far as the costs of the steps tell.

        And a quarter of all: while they wait they take something from whoever shares their core.
        """
        cdef int64_t i, batch = min(rows, batch_size, self.capacity)
        cdef double saved = 0, total = 0
        if self.threads == 1 or not FASTNN_TEAMS:
            return False
        self.set_rows(batch)
        for i in range(self.feed_count):
            saved += saving_of(&self.feeds[i], batch)
            total += cost_of(&self.feeds[i], batch)
        for i in range(self.step_count):
            saved += saving_of(&self.steps[i], batch)
            total += cost_of(&self.steps[i], batch)
        if saved < total / 4:
            return False
        return saved * min(passes * (rows // batch), max_batches) >= least

    def call_helpers(self, bint trains):
        """Cut steps into parts from now on: threads that call `help` run some of them.

        They treat denormal numbers as `train` does if they help with that.
        """
        self.trains = trains
        team_dismiss(&self.team, False)
        self.helped = True

    def help(self):
        """Run parts of steps until `dismiss_helpers` is called."""
        cdef int64_t spins = 0, part
        cdef unsigned int before = 0
        with nogil:
            if self.trains:
                before = flush_denormals()
            while not team_is_dismissed(&self.team):
                part = team_claim(&self.team)
                if part < 0:
                    team_rest(&spins)
                else:
                    spins = 0
                    self.run_part(<step *>self.team.work, part)
            if self.trains:
                restore_denormals(before)

    def dismiss_helpers(self):
        """`help` returns, in all threads."""
        self.helped = False
        team_dismiss(&self.team, True)

    cdef void run_parts(self, step *s) noexcept nogil:
        """A step, part by part, together with the helpers."""
        cdef int64_t part
        for part in range(s.parts):
            s.shares[part].n[s.last] = s.n[s.last]
        team_begin(&self.team, s, s.parts)
        while True:
            part = team_claim(&self.team)
            if part < 0:
                break
            self.run_part(s, part)
        team_wait(&self.team, s.parts)

    cdef void run_part(self, step *s, int64_t part) noexcept nogil:
        s.run(s.shares[part].p, s.shares[part].n, s.c)
        team_finish(&self.team)

    cdef Py_buffer *open_feeds(self, arrays) except NULL:
        """The feeds' sources; at an error those opened so far are closed again."""
        cdef Py_buffer *views = <Py_buffer *>calloc(max(self.feed_count, 1), sizeof(Py_buffer))
        cdef int64_t i
        if views == NULL:
            raise MemoryError("no memory for the feeds of a plan")
        for i in range(self.feed_count):
            try:
                PyObject_GetBuffer(arrays[i], &views[i], PyBUF_RECORDS_RO)
                describe(&self.feeds[i], &views[i])
            except BaseException:
                self.close(views, i)
                raise
        if self.threads > 1:
            self.rows = -1      # the parts of the gather are of other arrays now
        return views

    cdef void close(self, Py_buffer *views, int64_t count) noexcept:
        cdef int64_t i
        if views == NULL:
            return
        for i in range(count):
            PyBuffer_Release(&views[i])
        free(views)

    cdef void draw_order(self, int64_t *order, int64_t rows, int64_t number) noexcept nogil:
        """The order of the rows in a pass."""
        cdef int64_t n[2]
        cdef void *p[2]
        p[0] = order
        p[1] = &self.groups[0].state.seed
        n[0] = rows
        n[1] = number
        self.shuffle(p, n, NULL)

    cdef bint is_finite(self, const int64_t *watched, int64_t count) noexcept nogil:
        """Whether these accumulators are all finite."""
        cdef int64_t i
        cdef double value
        for i in range(count):
            value = self.sums[watched[i]]
            if value - value != 0:
                return False
        return True

    cdef void train_batch(self, const int64_t *order, int64_t start, int64_t rows) noexcept nogil:
        cdef int64_t i
        cdef group *g
        for i in range(self.group_count):
            g = &self.groups[i]
            self.batch(i, order, start, rows, rows, 0)
            g.state.step += 1
            if g.last > g.updates and (g.every == 1 or g.state.step % g.every == 0):
                self.run(g.updates, g.last)
                g.state.iteration += 1

    cdef void batch(self, int64_t number, const int64_t *order, int64_t start, int64_t rows,
                    int64_t batch_rows, int64_t first_row) noexcept nogil:
        """One group on the rows from `start`, in chunks of at most `capacity` rows."""
        cdef group *g = &self.groups[number]
        cdef int64_t done = 0, count
        g.state.batch_rows = batch_rows
        while done < rows:
            count = min(self.capacity, rows - done)
            g.state.first_row = first_row + done
            self.set_rows(count)
            if number == 0 or count < rows:
                self.gather(order, start + done)
            if done == 0:
                self.run(g.first, g.batch)
            else:
                self.run_again(g.first, g.batch)
            done += count
        self.run(g.batch, g.updates)

    cdef void set_rate(self, double rate) noexcept nogil:
        cdef int64_t i
        for i in range(self.group_count):
            self.groups[i].state.rate = rate

    cdef void set_rows(self, int64_t rows) noexcept nogil:
        cdef int64_t i
        cdef int k
        cdef step *s
        if rows == self.rows:
            return
        self.rows = rows
        for i in range(self.step_count):
            s = &self.steps[i]
            for k in range(s.scaled):
                s.n[s.which[k]] = s.each[k] * rows
            if s.shares != NULL:
                cut(s, rows, self.threads, self.spare, self.spare_bytes)
        for i in range(self.feed_count):
            self.feeds[i].n[0] = rows
            if self.feeds[i].shares != NULL:
                cut(&self.feeds[i], rows, self.threads, self.spare, self.spare_bytes)

    cdef void gather(self, const int64_t *order, int64_t start) noexcept nogil:
        """Rows order[start ...], or start ... without an order, into scratch."""
        cdef int64_t i, part
        cdef step *f
        for i in range(self.feed_count):
            f = &self.feeds[i]
            f.p[2] = <void *>order
            f.n[1] = start
            for part in range(f.parts if f.parts > 1 else 0):
                f.shares[part].p[2] = <void *>order
                f.shares[part].n[1] = start + f.shares[part].first
            self.run_step(f)

    cdef void run(self, int64_t first, int64_t last) noexcept nogil:
        cdef int64_t i
        for i in range(first, last):
            self.run_step(&self.steps[i])

    cdef inline void run_step(self, step *s) noexcept nogil:
        if self.helped and s.parts > 1:
            self.run_parts(s)
        else:
            s.run(s.p, s.n, s.c)

    cdef void run_again(self, int64_t first, int64_t last) noexcept nogil:
        """As run, for the second and later chunks of a batch: gradients are added to."""
        cdef int64_t i, add
        cdef step *s
        for i in range(first, last):
            s = &self.steps[i]
            if not s.once:
                add = s.n[s.last]
                s.n[s.last] = add | s.gradients
                self.run_step(s)
                s.n[s.last] = add
