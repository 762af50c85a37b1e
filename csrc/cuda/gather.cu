// gather: the kept cells of a sifted batch in canonical order, unit, image, cell.
//
//   lengths [units][images]  0 3 0 0 2 ...   scanned: records 0 0 1 1 1 2 ...  starts 0 0 3 3 3 5 ...
//
// A warp looks at 32 maps, a lane each, and takes those with a length in turn; a lane then looks at a word, and the
// cells of a word are written by 32 lanes, a bit each, four words at once so that four reads of values are under way.
// Maps where nothing is kept cost 4 bytes. A kept cell costs its share of a 32-byte sector (sift read it shortly
// before), and writes 2 or 4 bytes of cell and 4 or 2 of value. Nothing here depends on which block comes first.
#include "view.cuh"

constexpr int kWords = 4;

template <typename Kind>
__device__ inline void gather(const View<Kind>& view, const uint32_t* lengths, const int64_t* records,
                              const int64_t* starts, const uint32_t* kept, bool wide, uint32_t* images,
                              int64_t* cell_start, void* cells, typename Kind::Type* values) {
  const int lane = threadIdx.x & 31, width = int(view.width), row_words = (width + 31) >> 5;
  const int words = int(view.height) * row_words;
  const int64_t maps = view.images * view.units, slot = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot == 0) cell_start[records[maps]] = starts[maps];
  for (unsigned todo = __ballot_sync(kFullWarp, slot < maps && lengths[slot]); todo; todo &= todo - 1) {
    const int64_t own = slot - lane + __ffs(todo) - 1, unit = own / view.images, image = own - unit * view.images;
    int64_t start = starts[own];
    if (lane == 0) {
      images[records[own]] = uint32_t(image);
      cell_start[records[own]] = start;
    }
    const uint32_t* map = kept + (image * view.units + unit) * words;
    for (int first = 0; first < words; first += 32) {
      const uint32_t word = first + lane < words ? map[first + lane] : 0;
      for (unsigned left = __ballot_sync(kFullWarp, word != 0); left;) {
        typename Kind::Type read[kWords];
        int64_t to[kWords];
        uint32_t cell[kWords];
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
          to[i] = -1;
          if (!left) continue;
          const int from = __ffs(left) - 1, index = first + from;
          left &= left - 1;
          const uint32_t bits = __shfl_sync(kFullWarp, word, from);
          const int y = row_words == 1 ? index : index / row_words, x = (index - y * row_words) * 32 + lane;
          if (bits >> lane & 1) {
            to[i] = start + __popc(bits & ((1u << lane) - 1));
            cell[i] = uint32_t(y) * width + x;
            read[i] = view.at(image, unit, y, x);
          }
          start += __popc(bits);
        }
#pragma unroll
        for (int i = 0; i < kWords; ++i)
          if (to[i] >= 0) {
            if (wide)
              static_cast<uint32_t*>(cells)[to[i]] = cell[i];
            else
              static_cast<uint16_t*>(cells)[to[i]] = uint16_t(cell[i]);
            values[to[i]] = is_usable(Kind::widen(read[i])) ? read[i] : Kind::nan();
          }
      }
    }
  }
}

// What the host is told, before the cells: header = fault (complement of its number, 0: none), its value's bits,
// records, cells. And where each unit's records begin.
template <typename Kind>
__device__ inline void tell(const View<Kind>& view, const int64_t* records, const int64_t* starts, int64_t* unit_start,
                            uint64_t* header) {
  const int64_t unit = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, maps = view.images * view.units;
  if (unit <= view.units) unit_start[unit] = records[unit * view.images];
  if (unit != 0) return;
  header[2] = records[maps];
  header[3] = starts[maps];
  if (header[0] == 0) return;
  const int64_t cells = view.height * view.width, number = int64_t(~header[0]), map = number / cells;
  const int64_t cell = number - map * cells, image = map / view.units, y = cell / view.width;
  header[1] = __float_as_uint(Kind::widen(view.at(image, map - image * view.units, y, cell - y * view.width)));
}

#define FD_GATHER(DTYPE, KIND)                                                                                       \
  FD_KERNEL __launch_bounds__(256)                                                                                   \
  fd_gather_##DTYPE(FD_VIEW_PARAMETERS, const uint32_t* lengths, const int64_t* records, const int64_t* starts,      \
                    const uint32_t* kept, int64_t wide, uint32_t* images, int64_t* cell_start, void* cells,          \
                    void* values) {                                                                                  \
    gather<KIND>(FD_VIEW(KIND), lengths, records, starts, kept, wide, images, cell_start, cells,                     \
                 static_cast<KIND::Type*>(values));                                                                  \
  }                                                                                                                  \
  FD_KERNEL fd_gather_totals_##DTYPE(FD_VIEW_PARAMETERS, const int64_t* records, const int64_t* starts,              \
                                     int64_t* unit_start, uint64_t* header) {                                        \
    tell<KIND>(FD_VIEW(KIND), records, starts, unit_start, header);                                                  \
  }
FD_EACH_KIND(FD_GATHER)
