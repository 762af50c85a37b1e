// prune: join the retained cells of several parts, and keep those within `reach` of one above the risen bounds.
//
//     slots:   unit 0:  part 0 r r r | part 1 r | part 2 - | part 3 r r    unit 1:  part 0 r | ...
//
// A slot is a record of some part, numbered in the order of the outcome: unit, part, record. counts and a scan say where
// each unit's share of each part begins; mark finds what stays (a bit a cell) and how much of each slot; two scans say
// where it goes; write copies it. A warp looks up 32 slots, a lane each, so that the chain of dependent loads (slot,
// part, record, cells) is waited for once in 32, then takes them in turn, a lane a cell.
//
// Bytes: mark reads every value (4 or 2), and the cells (2 or 4) of records with a value above; write reads and writes
// what stays. Loads of a warp are contiguous; a record is 10 to 20 cells, so half of a 128-byte line serves.
#include "dilate.cuh"
#include "numbers.cuh"

// [parts] addresses each: unit starts, images, cell starts, cells, values; then the number of the part's first image
// and of its first mark.
struct Store {
  const uint64_t* table;
  int64_t parts, units, slots;
  const int64_t* slot_start;  // [units * parts + 1]

  template <typename T>
  __device__ const T* array(int which, int64_t part) const {
    return reinterpret_cast<const T*>(table[which * parts + part]);
  }
};

struct Place {
  int64_t part = 0, unit = 0, record = 0, from = 0, to = 0;  // cells [from, to) of the part
};

__device__ inline Place place_of(const Store& store, int64_t slot) {
  Place place;
  if (slot >= store.slots) return place;
  int64_t low = 0, high = store.units * store.parts;  // the last pair (unit, part) that starts at or before the slot
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (store.slot_start[middle] <= slot ? low : high) = middle;
  }
  place.unit = low / store.parts;
  place.part = low - place.unit * store.parts;
  place.record = store.array<int64_t>(0, place.part)[place.unit] + slot - store.slot_start[low];
  const int64_t* cell_start = store.array<int64_t>(2, place.part) + place.record;
  place.from = cell_start[0];
  place.to = cell_start[1];
  return place;
}
__device__ inline Place shown(const Place& own, int lane) {
  return Place{__shfl_sync(kFullWarp, own.part, lane), __shfl_sync(kFullWarp, own.unit, lane),
               __shfl_sync(kFullWarp, own.record, lane), __shfl_sync(kFullWarp, own.from, lane),
               __shfl_sync(kFullWarp, own.to, lane)};
}
// A mark is a bit a cell, a word 32 cells of one record: no two records share a word, and n cells find room for them.
__device__ inline int64_t first_mark(const Store& store, const Place& place) {
  return int64_t(store.table[6 * store.parts + place.part]) + place.from / 32 + place.record;
}

#define FD_STORE_PARAMETERS \
  const uint64_t *table, int64_t parts, int64_t units, int64_t slots, const int64_t *slot_start

FD_KERNEL fd_prune_counts(const uint64_t* table, int64_t parts, int64_t units, uint32_t* counts) {
  const int64_t pair = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pair >= units * parts) return;
  const int64_t unit = pair / parts;
  const int64_t* unit_start = reinterpret_cast<const int64_t*>(table[pair - unit * parts]);
  counts[pair] = uint32_t(unit_start[unit + 1] - unit_start[unit]);
}

template <typename Kind>
__device__ inline void mark(const Store& store, const uint32_t* bounds, int height, int width, int reach, bool ring,
                            bool wide, uint32_t* spare, uint32_t* marks, uint32_t* lengths) {
  FD_SHARED(uint32_t, shared);
  const int lane = threadIdx.x & 31, row_words = (width + 31) >> 5, words = height * row_words;
  const int warp_here = threadIdx.x >> 5, warps_here = blockDim.x >> 5;
  const int64_t warp = int64_t(blockIdx.x) * warps_here + warp_here, warps = int64_t(gridDim.x) * warps_here;
  uint32_t* above = spare ? spare + warp * words : shared + int64_t(warp_here) * words;
  for (int64_t first = warp * 32; first < store.slots; first += warps * 32) {
    const Place looked_up = place_of(store, first + lane);
    const int here = store.slots - first < 32 ? int(store.slots - first) : 32;
    uint32_t own_length = 0;
    for (int turn = 0; turn < here; ++turn) {
      const Place at = shown(looked_up, turn);
      const auto* values = store.array<typename Kind::Type>(4, at.part);
      const void* cells = store.array<char>(3, at.part);
      const uint32_t bound = bounds[at.unit];
      const bool all = bound < kLowestKey, border = ring && reach && bound < kZeroKey;
      const float threshold = all ? 0.0f : from_key(bound);
      const auto is_above = [&](int64_t j) {
        const float x = Kind::widen(values[j]);
        return all ? !is_nan(x) : x > threshold;
      };
      const auto cell_at = [&](int64_t j) {
        return int(wide ? static_cast<const uint32_t*>(cells)[j] : static_cast<const uint16_t*>(cells)[j]);
      };
      bool any = border;
      for (int64_t j = at.from + lane; j < at.to; j += 32) any |= is_above(j);
      if (!__any_sync(kFullWarp, any)) continue;

      for (int i = lane; i < words; i += 32) above[i] = 0;
      __syncwarp();
      for (int64_t j = at.from + lane; j < at.to; j += 32)
        if (is_above(j)) {
          const int cell = cell_at(j), y = cell / width, x = cell - y * width;
          atomicOr(above + y * row_words + (x >> 5), 1u << (x & 31));
        }
      __syncwarp();
      const BitMap bitmap{above, height, width, reach, border};
      uint32_t* mark = marks + first_mark(store, at);
      uint32_t length = 0;
      for (int64_t j = at.from; j < at.to; j += 32) {
        bool stays = false;
        if (j + lane < at.to) {
          const int cell = cell_at(j + lane), y = cell / width, x = cell - y * width;
          stays = dilated(bitmap, y, x >> 5) >> (x & 31) & 1;
        }
        const uint32_t bits = __ballot_sync(kFullWarp, stays);
        if (lane == 0) *mark = bits;
        ++mark;
        length += __popc(bits);
      }
      if (lane == turn) own_length = length;
      __syncwarp();
    }
    if (lane < here) lengths[first + lane] = own_length;
  }
}

#define FD_PRUNE_MARK(DTYPE, KIND)                                                                                  \
  FD_KERNEL fd_prune_mark_##DTYPE(FD_STORE_PARAMETERS, const uint32_t* bounds, int64_t height, int64_t width,       \
                                  int64_t reach, int64_t ring, int64_t wide, uint32_t* spare, uint32_t* marks,      \
                                  uint32_t* lengths) {                                                              \
    mark<KIND>(Store{table, parts, units, slots, slot_start}, bounds, int(height), int(width), int(reach), ring,    \
               wide, spare, marks, lengths);                                                                        \
  }
FD_EACH_KIND(FD_PRUNE_MARK)

FD_KERNEL fd_prune_totals(FD_STORE_PARAMETERS, const int64_t* records, const int64_t* starts, int64_t* unit_start,
                          int64_t* totals) {
  const int64_t unit = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit <= units) unit_start[unit] = records[slot_start[unit * parts]];
  if (unit == 0) {
    totals[0] = records[slots];
    totals[1] = starts[slots];
  }
}

template <typename T>
__device__ inline void copy_marked(const void* from, void* to, int64_t read, int64_t write) {
  static_cast<T*>(to)[write] = static_cast<const T*>(from)[read];
}

// Bits travel as they are: `wide` cells and `wide_values` have 4 bytes, others 2.
FD_KERNEL fd_prune_write(FD_STORE_PARAMETERS, const uint32_t* lengths, const int64_t* records, const int64_t* starts,
                         const uint32_t* marks, int64_t wide, int64_t wide_values, uint32_t* images,
                         int64_t* cell_start, void* cells, void* values) {
  const Store store{table, parts, units, slots, slot_start};
  const int lane = threadIdx.x & 31;
  const int64_t slot = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot == 0) cell_start[records[slots]] = starts[slots];
  Place looked_up;
  const bool left = slot < slots && lengths[slot];
  if (left) {
    looked_up = place_of(store, slot);
    images[records[slot]] =
        store.array<uint32_t>(1, looked_up.part)[looked_up.record] + uint32_t(table[5 * parts + looked_up.part]);
    cell_start[records[slot]] = starts[slot];
  }
  for (unsigned todo = __ballot_sync(kFullWarp, left); todo; todo &= todo - 1) {
    const int turn = __ffs(todo) - 1;
    const Place at = shown(looked_up, turn);
    const void* from_cells = store.array<char>(3, at.part);
    const void* from_values = store.array<char>(4, at.part);
    const uint32_t* mark = marks + first_mark(store, at);
    int64_t to = starts[slot - lane + turn];
    for (int64_t j = at.from; j < at.to; j += 32) {
      const uint32_t bits = *mark++;
      if (bits >> lane & 1) {
        const int64_t place = to + __popc(bits & ((1u << lane) - 1));
        if (wide)
          copy_marked<uint32_t>(from_cells, cells, j + lane, place);
        else
          copy_marked<uint16_t>(from_cells, cells, j + lane, place);
        if (wide_values)
          copy_marked<uint32_t>(from_values, values, j + lane, place);
        else
          copy_marked<uint16_t>(from_values, values, j + lane, place);
      }
      to += __popc(bits);
    }
  }
}

// Where each unit's cells begin.
FD_KERNEL fd_prune_starts(const int64_t* unit_start, const int64_t* cell_start, int64_t units, int64_t* starts) {
  const int64_t unit = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit <= units) starts[unit] = cell_start[unit_start[unit]];
}
