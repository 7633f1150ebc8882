/* The inner part of every matrix product: y = a @ b, one panel of columns at a time.
 *
 * linear.pxi cuts a product into panels of a few vectors of columns and describes each in a
 * `struct panel`; `multiply_panel` computes it in tiles of a few rows whose sums stay in registers
 * from the first product to the last. Nothing here knows about layers. The other functions bring
 * b into the form that a tile reads (rows of whole vectors), or serve the shapes that do not fill
 * a vector.
 *
 * A template: the file includes itself for each KIND of vector: float, double and, for matrices of
 * fewer columns than those have lanes, half_float and half_double.
 */
#if !defined(FASTNN_TILE_H)
#define FASTNN_TILE_H

#include "vector.h"

/* The largest tile: the more sums, the fewer instructions beside each multiply-add, of which a core
 * of Intel's, or half of one, otherwise cannot start enough. Six rows by four vectors are 24 sums
 * of the 32 AVX-512 registers, and four vectors of b stay beside them. AVX2 has 16 registers: 12
 * sums, and three numbers of a. Tiles of fewer vectors have more rows, at most FASTNN_MOST_ROWS.
 *
 * The depth of a block is what linear.pxi multiplies at once: with 16 registers, a panel of b must
 * come from the L1 cache. Of packed operands a tile multiplies some steps between two jumps;
 * without instructions of three operands too many registers would be needed for that. */
#if FASTNN_VECTOR_BYTES == 64
#define FASTNN_TILE_ROWS 6
#define FASTNN_TILE_VECTORS 4
#define FASTNN_BLOCK_DEPTH 400
#define FASTNN_TILE_STEPS 4
#elif FASTNN_VECTOR_BYTES == 32
#define FASTNN_TILE_ROWS 3
#define FASTNN_TILE_VECTORS 4
#define FASTNN_BLOCK_DEPTH 208
#define FASTNN_TILE_STEPS 4
#else
#define FASTNN_TILE_ROWS 6
#define FASTNN_TILE_VECTORS 2
#define FASTNN_BLOCK_DEPTH 400
#define FASTNN_TILE_STEPS 1
#endif
#define FASTNN_MOST_ROWS 12
#define FASTNN_MOST_VECTORS 8   /* of a single row */

/* What multiply_panel computes. Offsets and steps count elements. The last vector of a row of y may
 * begin before the previous one ends: so whole vectors cover any number of columns that is not less
 * than their lanes. The columns that two vectors share get the same value twice. */
struct panel {
    int64_t lanes;                  /* of the vectors: FASTNN_LANES_ of the type, or half of it */
    int64_t rows, depth, vectors;   /* y (rows, vectors) = a (rows, depth) @ b (depth, vectors) */
    const void *a;
    int64_t a_row, a_step, a_tile;  /* a[r, k] of tile t is at t * a_tile + r * a_row + k * a_step */
    const void *b;
    int64_t b_row, b_last;          /* from row to row; from the row's start to its last vector */
    void *y;
    int64_t y_row, y_last;
    const void *bias;               /* NULL, or one row that the sums start from */
    const void *saved;              /* NULL, or as y: the result is 0 where saved <= 0 */
    int64_t shared;                 /* first lanes of the last vector, added by the panel before */
    int add, relu;
};

/* The steps of the largest AVX2 tile at packed operands, sum[r][v] += a[r] * b[v] in each. They
 * take all 16 registers, and gcc would spend a tenth of the instructions on moving sums. Other
 * compilers go step by step. */
#if FASTNN_VECTOR_BYTES == 32 && defined(__GNUC__) && !defined(__clang__)
_Static_assert(FASTNN_TILE_ROWS == 3 && FASTNN_TILE_VECTORS == 4 && FASTNN_TILE_STEPS == 4,
               "FASTNN_STEPS is written for these");
#define FASTNN_COLUMN(type, b_v, row_0, row_1, row_2) \
    "vfmadd231p" type " " b_v ", %%ymm12, %" row_0 "\n\t" \
    "vfmadd231p" type " " b_v ", %%ymm13, %" row_1 "\n\t" \
    "vfmadd231p" type " " b_v ", %%ymm14, %" row_2 "\n\t"
#define FASTNN_STEP(type, bytes, i) \
    "vbroadcasts" type " " bytes "*(3*" i ")(%[a]), %%ymm12\n\t" \
    "vbroadcasts" type " " bytes "*(3*" i "+1)(%[a]), %%ymm13\n\t" \
    "vbroadcasts" type " " bytes "*(3*" i "+2)(%[a]), %%ymm14\n\t" \
    "vmovups 128*" i "(%[b]), %%ymm15\n\t" \
    FASTNN_COLUMN(type, "%%ymm15", "0", "4", "8") \
    FASTNN_COLUMN(type, "128*" i "+32(%[b])", "1", "5", "9") \
    "vmovups 128*" i "+64(%[b]), %%ymm15\n\t" \
    FASTNN_COLUMN(type, "%%ymm15", "2", "6", "10") \
    "vmovups 128*" i "+96(%[b]), %%ymm15\n\t" \
    FASTNN_COLUMN(type, "%%ymm15", "3", "7", "11")
#define FASTNN_SUMS(row) "+x"((row)[0]), "+x"((row)[1]), "+x"((row)[2]), "+x"((row)[3])
#define FASTNN_STEPS(type, bytes, sum, a, b) \
    __asm__(FASTNN_STEP(type, bytes, "0") FASTNN_STEP(type, bytes, "1") \
            FASTNN_STEP(type, bytes, "2") FASTNN_STEP(type, bytes, "3") \
            : FASTNN_SUMS((sum)[0]), FASTNN_SUMS((sum)[1]), FASTNN_SUMS((sum)[2]) \
            : [a] "r"(a), [b] "r"(b), "m"(*(const char (*)[4 * 3 * sizeof *(a)])(a)), \
              "m"(*(const char (*)[4 * 128])(b)) \
            : "xmm12", "xmm13", "xmm14", "xmm15")
#define FASTNN_STEPS_float(sum, a, b) FASTNN_STEPS("s", "4", sum, a, b)
#define FASTNN_STEPS_double(sum, a, b) FASTNN_STEPS("d", "8", sum, a, b)
#endif

#define FASTNN_JOIN_(name, kind) name##_##kind
#define FASTNN_JOIN(name, kind) FASTNN_JOIN_(name, kind)
#define REAL float
#define KIND float
#include "tile.h"
#undef KIND
#if defined(FASTNN_HALF_VECTORS)
#define KIND half_float
#include "tile.h"
#undef KIND
#endif
#undef REAL
#define REAL double
#define KIND double
#include "tile.h"
#undef KIND
#if defined(FASTNN_HALF_VECTORS)
#define KIND half_double
#include "tile.h"
#undef KIND
#endif
#undef REAL

/* The entries that exist for both widths, chosen by `lanes`. Half vectors are for so few columns
 * that one vector of them is the whole panel. */
#if defined(FASTNN_HALF_VECTORS)
enum { FASTNN_FEWEST_LANES_float = FASTNN_LANES_half_float };
enum { FASTNN_FEWEST_LANES_double = FASTNN_LANES_half_double };
#define FASTNN_IS_HALF(real, lanes) ((lanes) == FASTNN_LANES_half_##real)
#define FASTNN_HALF(name, real) name##_half_##real
#else
enum { FASTNN_FEWEST_LANES_float = FASTNN_LANES_float };
enum { FASTNN_FEWEST_LANES_double = FASTNN_LANES_double };
#define FASTNN_IS_HALF(real, lanes) 0
#define FASTNN_HALF(name, real) name##_##real
#endif

#define FASTNN_TILE_ENTRIES(real) \
    FASTNN_INLINE void multiply_##real(const struct panel *p) \
    { \
        if (FASTNN_IS_HALF(real, p->lanes)) \
            FASTNN_HALF(one_vector, real)(p); \
        else \
            multiply_panel_##real(p); \
    } \
    FASTNN_INLINE void pack_##real(const struct panel *p, real *packed, const real *b, \
                                   int64_t b_row, int transposed, const real *end) \
    { \
        if (transposed && FASTNN_IS_HALF(real, p->lanes)) \
            FASTNN_HALF(pack_columns, real)(p, packed, b, b_row, end); \
        else if (transposed) \
            pack_columns_##real(p, packed, b, b_row, end); \
        else if (FASTNN_IS_HALF(real, p->lanes)) \
            FASTNN_HALF(pack_rows, real)(p, packed, b, b_row, end); \
        else \
            pack_rows_##real(p, packed, b, b_row, end); \
    } \
    FASTNN_INLINE void unpad_##real(real *y, const real *padded, int64_t rows, int64_t columns, \
                                    int64_t lanes) \
    { \
        if (FASTNN_IS_HALF(real, lanes)) \
            FASTNN_HALF(unpad_rows, real)(y, padded, rows, columns); \
        else \
            unpad_rows_##real(y, padded, rows, columns); \
    }
FASTNN_TILE_ENTRIES(float)
FASTNN_TILE_ENTRIES(double)

#elif defined(REAL)

#define T(name) FASTNN_JOIN(name, KIND)     /* T(tile) is tile_float or tile_half_float ... */
#define VEC T(vec)
#define LANES T(FASTNN_LANES)
#define LOAD(address) ((VEC)*(const T(loose) *)(address))
#define STORE(address, value) (*(T(loose) *)(address) = (value))
#define UNROLL FASTNN_PRAGMA(GCC unroll 16)

/* One step of a tile: sum[r][v] += a[r] * b[v], with what there is less of in registers. R, V and
 * the last two are constants at every call, so all loops vanish. */
FASTNN_INLINE void T(add_products)(VEC sum[][FASTNN_MOST_VECTORS], const REAL *a, int64_t a_row,
                                   const REAL *b, const int64_t *b_at, const int R, const int V,
                                   const int by_side, const int unrolled)
{
    if (R >= V) {
        VEC b_row[FASTNN_MOST_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            b_row[v] = LOAD(b + b_at[v]);
        UNROLL for (int r = 0; r < R; r++) {
            const VEC number = a[r * a_row] - (VEC){0};
            UNROLL for (int v = 0; v < V; v++)
                if (by_side && r % 3 == 2)      /* not all: each takes a load more */
                    T(FASTNN_ADD_NUMBER)(sum[r][v], a[r], b_row[v]);
                else if (unrolled)
                    T(FASTNN_ADD_SPREAD)(sum[r][v], number, b_row[v], "x");
                else                            /* one step: compilers do well */
                    sum[r][v] += number * b_row[v];
        }
        return;
    }
    VEC number[FASTNN_MOST_VECTORS];
    UNROLL for (int r = 0; r < R; r++)
        number[r] = a[r * a_row] - (VEC){0};
    UNROLL for (int v = 0; v < V; v++) {
        const T(loose) *b_v = (const T(loose) *)(b + b_at[v]);
        const VEC loaded = (VEC)*b_v;
        UNROLL for (int r = 0; r < R; r++)
            if (v == 1)
                T(FASTNN_ADD_SPREAD)(sum[r][v], number[r], *b_v, "m");
            else
                T(FASTNN_ADD_SPREAD)(sum[r][v], number[r], loaded, "x");
    }
}

/* One tile of R rows from `row` on and V vectors: constants at every call, so `sum` lives in
 * registers. So is by_side: whether p->a_row is 1. */
FASTNN_INLINE void T(tile)(const struct panel *p, const REAL *a, int64_t row, const int R,
                           const int V, const int by_side)
{
    const REAL *b = (const REAL *)p->b;
    REAL *y = (REAL *)p->y + row * p->y_row;
    const int64_t a_row = by_side ? 1 : p->a_row, a_step = p->a_step, y_row = p->y_row;
    const REAL *saved = p->saved ? (const REAL *)p->saved + row * p->y_row : NULL;
    int64_t b_at[FASTNN_MOST_VECTORS], y_at[FASTNN_MOST_VECTORS];   /* where vectors start */
    int64_t k = p->depth;
    VEC sum[FASTNN_MOST_ROWS][FASTNN_MOST_VECTORS];

    UNROLL for (int v = 0; v < V; v++) {
        b_at[v] = v > 0 && v == V - 1 ? p->b_last : v * LANES;
        y_at[v] = v > 0 && v == V - 1 ? p->y_last : v * LANES;
        const VEC start = p->bias ? LOAD((const REAL *)p->bias + y_at[v]) : (VEC){0};
        UNROLL for (int r = 0; r < R; r++)
            sum[r][v] = start;
    }
    if (y_row >= 256)               /* far apart: they arrive while the sums grow */
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                FASTNN_PREFETCH(y + r * y_row + y_at[v]);
    if (saved)
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                FASTNN_PREFETCH(saved + r * y_row + y_at[v]);
    if (by_side && FASTNN_TILE_STEPS > 1 && R == FASTNN_TILE_ROWS && 2 * V > FASTNN_TILE_VECTORS
        && a_step == FASTNN_TILE_ROWS && p->b_row == V * LANES) {   /* the bulk of large products */
        int64_t at[FASTNN_MOST_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            at[v] = v * LANES;
        for (; k >= FASTNN_TILE_STEPS; k -= FASTNN_TILE_STEPS) {
#if defined(FASTNN_STEPS)
            if (V == FASTNN_TILE_VECTORS)
                T(FASTNN_STEPS)(sum, a, b);
            else
#endif
            UNROLL for (int i = 0; i < FASTNN_TILE_STEPS; i++)
                T(add_products)(sum, a + i * FASTNN_TILE_ROWS, 1, b + i * V * LANES, at, R, V, 1,
                                1);
            a += FASTNN_TILE_STEPS * FASTNN_TILE_ROWS;
            b += FASTNN_TILE_STEPS * V * LANES;
        }
    }
    for (; k > 0; k--) {
        T(add_products)(sum, a, a_row, b, b_at, R, V, by_side, 0);
        a += a_step;
        b += p->b_row;
    }
    if (p->add)
        UNROLL for (int r = 0; r < R; r++) {
            sum[r][V - 1] = T(without_first)(sum[r][V - 1], p->shared);
            UNROLL for (int v = 0; v < V; v++)
                sum[r][v] += LOAD(y + r * y_row + y_at[v]);
        }
    if (p->relu)
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                sum[r][v] = T(relu)(sum[r][v]);
    if (saved)
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                sum[r][v] = T(where_positive)(sum[r][v], LOAD(saved + r * y_row + y_at[v]));
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            STORE(y + r * y_row + y_at[v], sum[r][v]);
}

/* All rows of a panel: the largest tile as often as it fits, then one of what is left. */
FASTNN_INLINE void T(tiles)(const struct panel *p, const int V, const int by_side)
{
    const REAL *a = (const REAL *)p->a;
    int64_t row = 0;
    const int most = FASTNN_TILE_ROWS * (FASTNN_TILE_VECTORS / V);
    const int many = most < FASTNN_MOST_ROWS ? most : FASTNN_MOST_ROWS;
    if (many > FASTNN_TILE_ROWS && p->a_tile == FASTNN_TILE_ROWS * p->a_row)
        for (; row + many <= p->rows; row += many, a += many * p->a_row)
            T(tile)(p, a, row, many, V, by_side);
    for (; row + FASTNN_TILE_ROWS <= p->rows; row += FASTNN_TILE_ROWS, a += p->a_tile)
        T(tile)(p, a, row, FASTNN_TILE_ROWS, V, by_side);
    switch (p->rows - row) {
    case 1: T(tile)(p, a, row, 1, V, by_side); break;
    case 2: T(tile)(p, a, row, 2, V, by_side); break;
#if FASTNN_TILE_ROWS > 3
    case 3: T(tile)(p, a, row, 3, V, by_side); break;
    case 4: T(tile)(p, a, row, 4, V, by_side); break;
    case 5: T(tile)(p, a, row, 5, V, by_side); break;
#endif
    }
}

/* A panel of V vectors. Rows of a that lie side by side, as packed ones do, need no address of their
 * own, so they have a function of their own. */
#define PANEL(name, V) \
    FASTNN_NOINLINE void T(name##_apart)(const struct panel *p) \
    { \
        T(tiles)(p, V, 0); \
    } \
    FASTNN_NOINLINE void T(name##_by_side)(const struct panel *p) \
    { \
        T(tiles)(p, V, 1); \
    } \
    FASTNN_INLINE void T(name)(const struct panel *p) \
    { \
        p->a_row == 1 ? T(name##_by_side)(p) : T(name##_apart)(p); \
    }
PANEL(one_vector, 1)
PANEL(two_vectors, 2)
#if FASTNN_TILE_VECTORS > 2
PANEL(three_vectors, 3)
PANEL(four_vectors, 4)
#endif
#undef PANEL

/* A single row needs more columns at once: few sums would wait for themselves, and b is read just
 * once, best from its start to its end. */
FASTNN_NOINLINE void T(one_row)(const struct panel *p)
{
    const REAL *a = (const REAL *)p->a;
    switch (p->vectors) {
    case 3: T(tile)(p, a, 0, 1, 3, 0); break;
    case 4: T(tile)(p, a, 0, 1, 4, 0); break;
    case 5: T(tile)(p, a, 0, 1, 5, 0); break;
    case 6: T(tile)(p, a, 0, 1, 6, 0); break;
    case 7: T(tile)(p, a, 0, 1, 7, 0); break;
    case 8: T(tile)(p, a, 0, 1, 8, 0); break;
    }
}

FASTNN_INLINE void T(multiply_panel)(const struct panel *p)
{
    switch (p->vectors) {
    case 1: T(one_vector)(p); break;
    case 2: T(two_vectors)(p); break;
#if FASTNN_TILE_VECTORS > 2
    case 3: T(three_vectors)(p); break;
    case 4: T(four_vectors)(p); break;
#endif
    default: T(one_row)(p);
    }
}

/* The vector at `from`, with zeros for what lies at or after `end`: never read. */
FASTNN_INLINE VEC T(load_before)(const REAL *from, const REAL *end)
{
    if (end - from >= LANES)
        return LOAD(from);
    REAL part[LANES] = {0};
    for (int64_t i = 0; i < end - from; i++)
        part[i] = from[i];
    return LOAD(part);
}

/* The part of b (rows `b_row` apart, ending at `end`) as consecutive rows of whole vectors. Lanes
 * beyond a row's end hold what follows in b: nobody looks at their sums. */
FASTNN_NOINLINE void T(pack_rows)(const struct panel *p, REAL *packed, const REAL *b,
                                  int64_t b_row, const REAL *end)
{
    REAL rest[2 * LANES] = {0};         /* the last rows, where a whole vector would run over */
    const int64_t last = p->vectors - 1;
    int64_t k = 0;
    if (last > 0) {
        for (; k < p->depth; k++, b += b_row) {
            for (int64_t v = 0; v < last; v++, packed += LANES) {
                FASTNN_PREFETCH(b + 8 * b_row + v * LANES);
                STORE(packed, LOAD(b + v * LANES));
            }
            FASTNN_PREFETCH(b + 8 * b_row + p->y_last);
            STORE(packed, LOAD(b + p->y_last));
            packed += LANES;
        }
        return;
    }
    for (; k < p->depth && end - b >= LANES; k++, b += b_row, packed += LANES)
        STORE(packed, LOAD(b));
    if (k < p->depth)
        memcpy(rest, b, (size_t)(end - b) * sizeof(REAL));
    for (const REAL *row = rest; k < p->depth; k++, row += b_row, packed += LANES)
        STORE(packed, LOAD(row));
}

/* The same from the transpose of b, whose rows are b's columns. Squares are transposed in
 * registers; the last one writes up to LANES - 1 rows too many. */
FASTNN_NOINLINE void T(pack_columns)(const struct panel *p, REAL *packed, const REAL *b,
                                     int64_t b_row, const REAL *end)
{
    const int64_t packed_row = p->vectors * LANES;
    for (int64_t v = 0; v < p->vectors; v++) {
        const REAL *from = b + (v == p->vectors - 1 ? p->y_last : v * LANES) * b_row;
        REAL *to = packed + v * LANES;
        for (int64_t k = 0; k < p->depth; k += LANES, from += LANES) {
            REAL copy[LANES * LANES];
            const REAL *row = from;
            int64_t row_step = b_row;
            VEC square[LANES];
            if (end - from < (LANES - 1) * b_row + LANES) {
                for (int i = 0; i < LANES; i++)
                    STORE(copy + i * LANES, T(load_before)(from + i * b_row, end));
                row = copy;
                row_step = LANES;
            }
            UNROLL for (int i = 0; i < LANES; i++, row += row_step) {
                FASTNN_PREFETCH(row + 2 * LANES);
                square[i] = LOAD(row);
            }
            UNROLL for (int step = 1; step < LANES; step *= 2)
                UNROLL for (int i = 0; i < LANES; i++)
                    if (!(i & step))
                        T(exchange)(&square[i], &square[i + step], step);
            UNROLL for (int i = 0; i < LANES; i++, to += packed_row)
                STORE(to, square[i]);
        }
    }
}

/* The part of a that p describes as tiles, one after the other, each step by step: rows that are
 * a multiple of 1 KB apart share few places in the L1 cache, rows that are read down their columns
 * are a page apart, and even where neither is so, six rows are read faster from one place. p
 * describes the packed a afterwards. */
FASTNN_NOINLINE void T(pack_tiles)(struct panel *p, REAL *packed)
{
    const REAL *a = (const REAL *)p->a;
    const int64_t tile = FASTNN_TILE_ROWS * p->depth, a_row = p->a_row, depth = p->depth;
    int64_t r = 0;
    p->a = packed;
    if (p->a_step == 1) {
        for (; r + FASTNN_TILE_ROWS <= p->rows; r += FASTNN_TILE_ROWS) {
            for (int64_t k = 0; k < depth; k++, a++, packed += FASTNN_TILE_ROWS)
                UNROLL for (int i = 0; i < FASTNN_TILE_ROWS; i++)
                    packed[i] = a[i * a_row];
            a += FASTNN_TILE_ROWS * a_row - depth;
        }
        for (; r < p->rows; r++, a += a_row, packed++)
            for (int64_t k = 0; k < depth; k++)
                packed[k * FASTNN_TILE_ROWS] = a[k];
    } else {
        for (int64_t first = 0; first < depth; first += 16) {   /* steps: lines stay in the cache */
            const int64_t last = first + 16 < depth ? first + 16 : depth;
            for (r = 0; r + FASTNN_TILE_ROWS <= p->rows; r += FASTNN_TILE_ROWS)
                for (int64_t k = first; k < last; k++)
                    memcpy(packed + r * depth + k * FASTNN_TILE_ROWS, a + k * p->a_step + r,
                           FASTNN_TILE_ROWS * sizeof(REAL));
            for (int64_t i = 0; r + i < p->rows; i++)
                for (int64_t k = first; k < last; k++)
                    packed[r * depth + k * FASTNN_TILE_ROWS + i] = a[k * p->a_step + r + i];
        }
    }
    p->a_row = 1;
    p->a_step = FASTNN_TILE_ROWS;
    p->a_tile = tile;
}

/* rows (rows, one vector) to y (rows, columns), columns < LANES. Each store runs over into the next
 * row, which then overwrites that; only the last rows must stop in time. */
FASTNN_NOINLINE void T(unpad_rows)(REAL *y, const REAL *padded, int64_t rows, int64_t columns)
{
    const REAL *end = y + rows * columns;
    for (; end - y >= LANES; y += columns, padded += LANES)
        STORE(y, LOAD(padded));
    for (; y < end; y += columns, padded += LANES)
        for (int64_t i = 0; i < columns; i++)
            y[i] = padded[i];
}

FASTNN_NOINLINE void T(add_to)(REAL *FASTNN_RESTRICT y, const REAL *FASTNN_RESTRICT x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* y (columns) (+)= the sums of x's columns (rows, columns), columns < LANES: whole vectors are read
 * as far as the rows below allow it. */
FASTNN_INLINE void T(narrow_column_sums)(REAL *y, const REAL *x, int64_t rows, int64_t columns,
                                         int add)
{
    const REAL *end = x + rows * columns;
    VEC even = {0}, odd = {0};
    REAL sum[LANES];
    for (; end - x >= columns + LANES; x += 2 * columns) {
        even += LOAD(x);
        odd += LOAD(x + columns);
    }
    STORE(sum, even + odd);
    for (; x < end; x += columns)
        for (int64_t i = 0; i < columns; i++)
            sum[i] += x[i]; /* scalar: the last row or two */
    for (int64_t i = 0; i < columns; i++)
        y[i] = add ? y[i] + sum[i] : sum[i];
}

FASTNN_INLINE void T(sum_columns)(REAL *y, const REAL *x, int64_t rows, int64_t columns,
                                  int64_t shared, int add, const int V)
{
    VEC sum[4];
    UNROLL for (int v = 0; v < V; v++)
        sum[v] = (VEC){0};
    for (int64_t r = 0; r < rows; r++, x += columns)
        UNROLL for (int v = 0; v < V; v++)
            sum[v] += LOAD(x + v * LANES);
    sum[V - 1] = T(without_first)(sum[V - 1], add ? shared : 0);
    UNROLL for (int v = 0; v < V; v++)
        STORE(y + v * LANES, add ? sum[v] + LOAD(y + v * LANES) : sum[v]);
}

/* y (columns) (+)= the sums of x's columns (rows, columns) */
FASTNN_NOINLINE void T(column_sums)(REAL *y, const REAL *x, int64_t rows, int64_t columns, int add)
{
    int64_t j = 0;
    if (columns < LANES) {
        T(narrow_column_sums)(y, x, rows, columns, add);
        return;
    }
    for (; j + 4 * LANES <= columns; j += 4 * LANES)
        T(sum_columns)(y + j, x + j, rows, columns, 0, add, 4);
    for (; j + LANES <= columns; j += LANES)
        T(sum_columns)(y + j, x + j, rows, columns, 0, add, 1);
    if (j < columns) {
        const int64_t last = columns - LANES;
        T(sum_columns)(y + last, x + last, rows, columns, j - last, add, 1);
    }
}

/* y (rows, columns) (+)= a (rows) times b (columns), row after row: storing y is the work here. */
FASTNN_NOINLINE void T(outer)(REAL *FASTNN_RESTRICT y, const REAL *FASTNN_RESTRICT a,
                              const REAL *FASTNN_RESTRICT b, int64_t rows, int64_t columns, int add)
{
    for (int64_t r = 0; r < rows; r++, y += columns) {
        if (add)
            for (int64_t j = 0; j < columns; j++)
                y[j] += a[r] * b[j];
        else
            for (int64_t j = 0; j < columns; j++)
                y[j] = a[r] * b[j];
    }
}

/* y[i] (+)= start + dot(a, row i of b), for R rows of b (R, depth), depth >= LANES. What does not
 * fill a vector is taken from the end of the rows, without the lanes that were already counted. */
FASTNN_INLINE void T(few_dots)(REAL *y, const REAL *a, const REAL *b, int64_t depth, REAL start,
                               int add, const int R)
{
    VEC sum[4];
    int64_t k;
    UNROLL for (int r = 0; r < R; r++)
        sum[r] = (VEC){0};
    for (k = 0; k + LANES <= depth; k += LANES)
        UNROLL for (int r = 0; r < R; r++)
            sum[r] += LOAD(a + k) * LOAD(b + r * depth + k);
    if (k < depth) {
        const int64_t last = depth - LANES, counted = k - last;
        UNROLL for (int r = 0; r < R; r++)
            sum[r] += T(without_first)(LOAD(a + last), counted)
                      * T(without_first)(LOAD(b + r * depth + last), counted);
    }
    UNROLL for (int r = 0; r < R; r++)
        y[r] = start + T(sum_lanes)(sum[r]) + (add ? y[r] : 0);
}

FASTNN_NOINLINE void T(dots)(REAL *y, const REAL *a, const REAL *b, int64_t rows, int64_t depth,
                             REAL start, int add)
{
    int64_t row = 0;
    for (; row + 4 <= rows; row += 4)
        T(few_dots)(y + row, a, b + row * depth, depth, start, add, 4);
    for (; row < rows; row++)
        T(few_dots)(y + row, a, b + row * depth, depth, start, add, 1);
}

#undef T
#undef VEC
#undef LANES
#undef LOAD
#undef STORE
#undef UNROLL
#endif
