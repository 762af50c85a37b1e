// count: retained cells -> mask words -> AND with the label planes -> population count.
//
// A block of 128 threads takes a record (one map) after the other; its mask exists as bits in shared memory alone:
//
//     cells  -> map  -> lines -> pixels > T ?  -> mask words    0b...0110   (bit i of word w: pixel 64 w + i)
//                                                 AND plane words, popc     -> int64 sums in memory
//
// grid (units, chunks): block (k, c) steps through records cursor[k] + c, + chunks, ... of unit k while they are of
// this block of images. Their number is not known on the host, which never waits. fd_count_advance runs last and moves
// the cursors, so that all blocks see the old ones.
//
// A record of n cells reads 6 n + 12 bytes and, for each of the image's planes, the words that its mask spans (at most
// pixels / 8 bytes); it writes an 8-byte atomic a plane whose label it meets and a category. At 112 x 112 and 20
// planes that is at most 31 KB, which comes from the L2 cache: the planes of 64 images are 2 MB and all units read
// them. Work, as counted in sm_90's code: about 55 instructions a warp and 32 pixels of the reached window, 14 a warp
// and 32 words of a plane and about 90 a plane. At four a clock and SM the whole 12,544 pixels are 5,400 clocks, and 20
// planes of 196 words 950 (their popc, 16 a clock and SM and two a word: 490). So a record is bound by instruction
// issue, mostly by its pixels, and waits for memory only for its cells and its planes' first words.
//
// Bounds: a mask has less than 2**32 pixels (tables.py refuses more), so area and shared fit uint32; sums are int64.
// Sums are integers added by atomics: any order gives the same.
#include "mask.cuh"

struct ImagePlanes {  // Planes
  const int64_t* start;
  const int32_t* concept_of;
  const int64_t* word_row;
  const uint64_t* words;
  int64_t images, row_words;
};

struct Sums {  // of one unit
  int64_t *intersection, *unit_area, *mask_area;
};

// A warp a plane: the pixels that mask and plane share, between words from and to.
__device__ inline void meet(const ImagePlanes& planes, int64_t image, const uint32_t* mask, int64_t from, int64_t to,
                            uint32_t area, const int64_t* category, uint32_t* under, int64_t* intersection) {
  const int32_t lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  const int64_t end = planes.start[image + 1];
  for (int64_t p = planes.start[image] + (threadIdx.x >> 5); p < end; p += warps) {
    const int64_t row = planes.word_row[p];
    uint32_t shared = area;  // the plane covers the whole image
    if (row >= 0) {
      const uint64_t* words = planes.words + row * planes.row_words;
      uint32_t sum = 0;
#pragma unroll 4
      for (int64_t w = from + lane; w < to; w += 32) {
        const uint64_t own = uint64_t(mask[2 * w + 1]) << 32 | mask[2 * w];
        sum += __popcll(words[w] & own);
      }
      shared = warp_sum(sum);
    }
    if (lane == 0 && shared) {
      const int32_t concept_of = planes.concept_of[p];
      add_to(intersection + concept_of, int64_t(shared));
      if (under) atomicOr(under + category[concept_of], 1u);
    }
  }
}

template <typename Kind, bool kSmall>
__device__ void count_records(const Upsampling& u, const Records<Kind>& records, const int64_t* cursor,
                              int64_t first_image, const float* thresholds, int64_t units, const ImagePlanes& planes,
                              const int64_t* category, const uint8_t* present, int64_t concepts, int64_t categories,
                              Sums sums, unsigned char* scratch, int64_t scratch_bytes, int64_t map_place,
                              int64_t lines_place, int64_t mask_place, int64_t under_place) {
  FD_SHARED(unsigned char, shared);
  Extent* extent = reinterpret_cast<Extent*>(shared);
  uint32_t* area = reinterpret_cast<uint32_t*>(extent + 1);
  float* map = piece<float, kSmall>(map_place, shared, scratch, scratch_bytes);
  float* line =
      piece<float, kSmall>(lines_place, shared, scratch, scratch_bytes) + int64_t(threadIdx.x >> 5) * u.columns.cells;
  uint32_t* mask = piece<uint32_t, kSmall>(mask_place, shared, scratch, scratch_bytes);
  uint32_t* under = piece<uint32_t, kSmall>(under_place, shared, scratch, scratch_bytes);
  for (int64_t i = threadIdx.x; i < 2 * planes.row_words; i += blockDim.x) mask[i] = 0;
  for (int64_t q = threadIdx.x; q < categories; q += blockDim.x) under[q] = 0;

  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const float threshold = thresholds[unit];
    const bool lit = u.border && 0.0f > threshold;  // the ring is above
    const int64_t end = records.unit_start[unit + 1];
    int64_t r = cursor[unit] + blockIdx.y;
    if (r >= end || int64_t(records.images[r]) - first_image >= planes.images) continue;
    blank(u, map, threshold);
    for (; r < end; r += gridDim.y) {
      const int64_t image = int64_t(records.images[r]) - first_image;
      if (image >= planes.images) break;
      if (threadIdx.x == 0) {
        *extent = lit ? everything(u) : nothing();
        *area = 0;
      }
      __syncthreads();
      scatter(u, records, r, threshold, map, extent);
      __syncthreads();
      const Window window = reach(u, *extent);
      if (!window.empty()) {
        paint(u, map, line, window, threshold, mask, area);
        __syncthreads();
        const uint32_t pixels = *area;
        const int64_t from = int64_t(window.top) * u.columns.pixels / 64;
        const int64_t to = (int64_t(window.bottom) * u.columns.pixels + 63) / 64;
        if (pixels) {
          meet(planes, image, mask, from, to, pixels, category, present ? nullptr : under,
               sums.intersection + unit * concepts);
          __syncthreads();
          for (int64_t q = threadIdx.x; q < categories; q += blockDim.x) {
            if (present ? present[image * categories + q] : under[q])
              add_to(sums.unit_area + unit * categories + q, int64_t(pixels));
            under[q] = 0;
          }
          if (threadIdx.x == 0) add_to(sums.mask_area + unit, int64_t(pixels));
          for (int64_t i = 2 * from + threadIdx.x; i < 2 * to; i += blockDim.x) mask[i] = 0;
        }
      }
      take_out(u, records, r, threshold, map);
      __syncthreads();
    }
  }
}

#define FD_COUNT(NAME, KIND, SMALL)                                                                                  \
  FD_KERNEL fd_count_##NAME(const int64_t* upsampling, const int64_t* unit_start, const uint32_t* images,            \
                            const int64_t* cell_start, const void* cells, const void* values, int64_t wide,          \
                            const int64_t* cursor, int64_t first_image, const float* thresholds, int64_t units,      \
                            const int64_t* plane_start, const int32_t* concept_of, const int64_t* word_row,          \
                            const uint64_t* words, int64_t plane_images, int64_t row_words, const int64_t* category, \
                            const uint8_t* present, int64_t concepts, int64_t categories, int64_t* intersection,     \
                            int64_t* unit_area, int64_t* mask_area, unsigned char* scratch, int64_t scratch_bytes,   \
                            int64_t map_place, int64_t lines_place, int64_t mask_place, int64_t under_place) {       \
    count_records<KIND, SMALL>(                                                                                      \
        upsampling_of(upsampling),                                                                                   \
        Records<KIND>{unit_start, images, cell_start, cells, static_cast<const KIND::Type*>(values), wide != 0},     \
        cursor, first_image, thresholds, units,                                                                      \
        ImagePlanes{plane_start, concept_of, word_row, words, plane_images, row_words}, category, present, concepts, \
        categories, Sums{intersection, unit_area, mask_area}, scratch, scratch_bytes, map_place, lines_place,        \
        mask_place, under_place);                                                                                    \
  }
// fd_count_records_*: all pieces in shared memory; fd_count_large_*: wherever they are
#define FD_COUNT_KIND(NAME, KIND) FD_COUNT(records_##NAME, KIND, true) FD_COUNT(large_##NAME, KIND, false)
FD_EACH_KIND(FD_COUNT_KIND)

// A thread a unit: its cursor moves to its first record of an image from `limit` on (images rise within a unit).
FD_KERNEL fd_count_advance(const int64_t* unit_start, const uint32_t* images, int64_t units, int64_t limit,
                           int64_t* cursor) {
  const int64_t unit = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) return;
  int64_t low = cursor[unit], high = unit_start[unit + 1];
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (int64_t(images[middle]) < limit)
      low = middle + 1;
    else
      high = middle;
  }
  cursor[unit] = low;
}
