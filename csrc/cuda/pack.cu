// pack: label maps of one image -> one plane a label. Two reads of the maps: which labels there are, then their bits.
//
//     labels  0 7 7 3 0 ...        plane of 3:  0 0 0 1 0 ...   (bit 3 of word 0)
//                                  plane of 7:  0 1 1 0 0 ...   (bits 1 and 2)
//
// fd_pack_mark reads 2 or 4 bytes a pixel and channel once (coalesced, bound by memory) and sets a bit a label in a
// table of (channels or 1) x numbers bits; labels lie in runs, and only a run's first pixel asks for the table.
// fd_pack_planes reads them once a plane, from the L2 cache, a warp 64 pixels at a
// time, and writes an 8-byte word by two ballots: planes x channels x pixels comparisons, bound by instruction issue.
#include "port.cuh"

// table: word 0 is 2**32 - 1 - the lowest label that has no number in the table, 0 if there is none; then
// rows of row_words, one a channel or one for all: bit l of row c: channel c has label l.
template <typename Label>
__device__ void mark_labels(const Label* labels, int64_t channel, int64_t pixels, int64_t numbers, int64_t row_words,
                            int64_t once, uint32_t* table) {
  uint32_t* row = table + 1 + (once ? 0 : channel * row_words);
  const Label* own = labels + channel * pixels;
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < pixels; i += step) {
    const int64_t label = int64_t(own[i]);
    if (label <= 0 || (i > 0 && int64_t(own[i - 1]) == label)) continue;
    if (label >= numbers)
      atomicMax(table, 0xFFFFFFFFu - uint32_t(label));
    else
      atomicOr(row + (label >> 5), 1u << (label & 31));
  }
}

// Plane p holds label plane_label[p] of channel plane_channel[p] (-1: of any channel).
// pixels[p] starts at 0.
template <typename Label>
__device__ void pack_plane(const Label* labels, int64_t channels, int64_t pixels, int64_t plane,
                           const int64_t* plane_label, const int64_t* plane_channel, int64_t row_words,
                           int64_t* plane_pixels, uint64_t* words) {
  const int lane = threadIdx.x & 31;
  const int64_t label = plane_label[plane], channel = plane_channel[plane];
  const int64_t first = channel < 0 ? 0 : channel, last = channel < 0 ? channels : channel + 1;
  const int64_t step = int64_t(gridDim.x) * (blockDim.x >> 5);
  int64_t count = 0;
  for (int64_t w = int64_t(blockIdx.x) * (blockDim.x >> 5) + (threadIdx.x >> 5); w < row_words; w += step) {
    const int64_t low = 64 * w + lane, high = low + 32;
    bool here = false, there = false;
    for (int64_t c = first; c < last; ++c) {
      const Label* own = labels + c * pixels;
      here |= low < pixels && int64_t(own[low]) == label;
      there |= high < pixels && int64_t(own[high]) == label;
    }
    const uint64_t word = uint64_t(__ballot_sync(kFullWarp, there)) << 32 | __ballot_sync(kFullWarp, here);
    count += __popcll(word);
    if (lane == 0) words[plane * row_words + w] = word;
  }
  if (lane == 0 && count) add_to(plane_pixels + plane, count);
}

// grids (pixels, channels) and (words, planes)
#define FD_PACK(NAME, LABEL)                                                                                   \
  FD_KERNEL fd_pack_mark_##NAME(const LABEL* labels, int64_t channels, int64_t pixels, int64_t numbers,        \
                                int64_t row_words, int64_t once, uint32_t* table) {                            \
    for (int64_t c = blockIdx.y; c < channels; c += gridDim.y)                                                 \
      mark_labels(labels, c, pixels, numbers, row_words, once, table);                                         \
  }                                                                                                            \
  FD_KERNEL fd_pack_planes_##NAME(const LABEL* labels, int64_t channels, int64_t pixels, int64_t planes,       \
                                  const int64_t* plane_label, const int64_t* plane_channel, int64_t row_words, \
                                  int64_t* plane_pixels, uint64_t* words) {                                    \
    for (int64_t p = blockIdx.y; p < planes; p += gridDim.y)                                                   \
      pack_plane(labels, channels, pixels, p, plane_label, plane_channel, row_words, plane_pixels, words);     \
  }
FD_PACK(uint16, uint16_t)
FD_PACK(int32, int32_t)
