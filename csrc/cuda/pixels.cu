// select_pixels, raise_pixels: order statistics over the pixels of upsampled maps, from the retained cells.
//
// A unit's pixels are never held (at 1 % of 56 x 56 pixels that is millions): each of the three passes of a radix
// select (ranked.cuh) upsamples the retained cells again.
//
// grid (units, ranks), a block of 256 threads a unit and rank; no host wait. A pass reads 6 bytes a cell and 12 a
// record, and works about as many instructions a pixel of the reached window as count (count.cu), ballots and
// an atomic in shared memory among them: bound by instruction issue. What is written: 4 bytes a unit and rank.
#include "maps.cuh"
#include "ranked.cuh"

struct PixelState {  // in shared memory
  Select select;
  int64_t above;
  Extent extent;
};
static_assert(sizeof(PixelState) <= 12 * kBins + 48, "HEAD of pixels.py");

// What a block works with for one unit.
struct Workplace {
  PixelState* state;
  float *map, *line;
  uint64_t most;  // see ranked.cuh
};

// Part i's arrays: five pointers, as pixels.py writes them.
template <typename Kind>
__device__ Records<Kind> part_of(const uint64_t* parts, int64_t i, bool wide) {
  const uint64_t* p = parts + 5 * i;
  return Records<Kind>{reinterpret_cast<const int64_t*>(p[0]),
                       reinterpret_cast<const uint32_t*>(p[1]),
                       reinterpret_cast<const int64_t*>(p[2]),
                       reinterpret_cast<const void*>(p[3]),
                       reinterpret_cast<const typename Kind::Type*>(p[4]),
                       wide};
}

template <typename Kind>
struct Unit {
  const Upsampling& u;
  const uint64_t* parts;
  int64_t count, unit;
  bool wide;
  float fill;  // what absent cells read as

  // use(value, inside) for the unit's pixels that may be above `low`, room(n) before each record of at most n.
  template <typename Room, typename Use>
  __device__ void each_pixel_above(const Workplace& at, float low, bool all, Room room, Use use) const {
    Extent* extent = &at.state->extent;
    all = all || !u.lerp || (u.border && 0.0f > low);  // the last: the ring is above
    const uint64_t pixels = uint64_t(u.rows.pixels) * uint64_t(u.columns.pixels);
    for (int64_t i = 0; i < count; ++i) {
      const Records<Kind> records = part_of<Kind>(parts, i, wide);
      for (int64_t r = records.unit_start[unit]; r < records.unit_start[unit + 1]; ++r) {
        if (threadIdx.x == 0) *extent = all ? everything(u) : nothing();
        room(pixels);
        __syncthreads();
        scatter(u, records, r, low, at.map, extent);
        __syncthreads();
        const Window window = reach(u, *extent);
        if (!window.empty())
          each_pixel(u, at.map, at.line, window, low,
                     [&](uint32_t, bool inside, int32_t, int32_t, float value) { use(value, inside); });
        __syncthreads();
        take_out(u, records, r, fill, at.map);
      }
    }
    __syncthreads();
  }

  // use(key, inside) for the unit's cells.
  template <typename Room, typename Use>
  __device__ void each_cell(Room room, Use use) const {
    for (int64_t i = 0; i < count; ++i) {
      const Records<Kind> records = part_of<Kind>(parts, i, wide);
      const int64_t end = records.cell_start[records.unit_start[unit + 1]];
      for (int64_t j = records.cell_start[records.unit_start[unit]]; j < end; j += blockDim.x) {
        room(blockDim.x);
        const bool own = j + threadIdx.x < end;
        const float value = own ? records.value(j + threadIdx.x) : 0.0f;
        use(key_of(value), own && !is_nan(value));
      }
    }
  }
};

__device__ inline Workplace workplace(const Upsampling& u, unsigned char* shared, unsigned char* scratch,
                                      int64_t scratch_bytes, int64_t map_place, int64_t lines_place, int64_t most) {
  float* map = piece<float, false>(map_place, shared, scratch, scratch_bytes);
  float* lines = piece<float, false>(lines_place, shared, scratch, scratch_bytes);
  return Workplace{reinterpret_cast<PixelState*>(shared), map, lines + int64_t(threadIdx.x >> 5) * u.columns.cells,
                   uint64_t(most)};
}

constexpr float kLowest = -340282346638528859811704183484516925440.0f;  // pixels are finite: none is below

template <typename Kind>
__device__ void select_unit(const Unit<Kind>& own, const Workplace& at, uint32_t bound, int64_t rank,
                            uint32_t* chosen) {
  const bool everything = bound < kLowestKey;
  blank(own.u, at.map, own.fill);
  const uint32_t key = ranked(&at.state->select, rank, bound, at.most, [&](auto room, auto use) {
    own.each_pixel_above(at, everything ? kLowest : own.fill, everything, room,
                         [&](float value, bool inside) { use(key_of(value), inside && !is_nan(value)); });
  });
  if (threadIdx.x == 0) *chosen = key;
  __syncthreads();
}

// The cell at `place` (0 = largest) among those above the bound, if `rank` pixels are above it, else the bound.
template <typename Kind>
__device__ void raise_unit(const Unit<Kind>& own, const Workplace& at, uint32_t bound, int64_t place, int64_t rank,
                           uint32_t* risen) {
  const uint32_t candidate =
      ranked(&at.state->select, place + 1, bound, at.most, [&](auto room, auto use) { own.each_cell(room, use); });
  if (threadIdx.x == 0) {
    *risen = bound;
    at.state->above = 0;
  }
  __syncthreads();
  if (candidate == bound) return;  // for the whole block: fewer cells than that
  const float pivot = from_key(candidate);
  blank(own.u, at.map, own.fill);
  int64_t above = 0;
  own.each_pixel_above(
      at, pivot, false, [](uint64_t) {}, [&](float value, bool inside) { above += inside && value > pivot; });
  add_to(&at.state->above, above);
  __syncthreads();
  if (threadIdx.x == 0 && at.state->above >= rank) *risen = candidate;
  __syncthreads();
}

__device__ inline float fill_of(uint32_t bound) { return bound < kLowestKey ? -kHuge : from_key(bound); }

#define FD_PIXELS(NAME, KIND)                                                                                         \
  FD_KERNEL fd_pixels_select_##NAME(const int64_t* upsampling, const uint64_t* parts, int64_t count, int64_t wide,    \
                                    int64_t units, const uint32_t* bounds, const int64_t* ranks, uint32_t* chosen,    \
                                    unsigned char* scratch, int64_t scratch_bytes, int64_t map_place,                 \
                                    int64_t lines_place, int64_t most) {                                              \
    FD_SHARED(unsigned char, shared);                                                                                 \
    const Upsampling u = upsampling_of(upsampling);                                                                   \
    const Workplace at = workplace(u, shared, scratch, scratch_bytes, map_place, lines_place, most);                  \
    for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {                                                \
      const int64_t i = unit * gridDim.y + blockIdx.y;                                                                \
      const Unit<KIND> own{u, parts, count, unit, wide != 0, fill_of(bounds[unit])};                                  \
      select_unit(own, at, bounds[unit], ranks[i], chosen + i);                                                       \
    }                                                                                                                 \
  }                                                                                                                   \
  FD_KERNEL fd_pixels_raise_##NAME(const int64_t* upsampling, const uint64_t* parts, int64_t count, int64_t wide,     \
                                   int64_t units, const uint32_t* bounds, int64_t place, int64_t rank,                \
                                   uint32_t* risen, unsigned char* scratch, int64_t scratch_bytes, int64_t map_place, \
                                   int64_t lines_place, int64_t most) {                                               \
    FD_SHARED(unsigned char, shared);                                                                                 \
    const Upsampling u = upsampling_of(upsampling);                                                                   \
    const Workplace at = workplace(u, shared, scratch, scratch_bytes, map_place, lines_place, most);                  \
    for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {                                                \
      const Unit<KIND> own{u, parts, count, unit, wide != 0, fill_of(bounds[unit])};                                  \
      raise_unit(own, at, bounds[unit], place, rank, risen + unit);                                                   \
    }                                                                                                                 \
  }
FD_EACH_KIND(FD_PIXELS)
