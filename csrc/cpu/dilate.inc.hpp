// dilate: cells within `reach` steps (diagonals too) of one that is set, on rows of bits.
// Row words: the map's "above" bits, one row after another.  width 7:  row 0 -> word 0 (bits 0-6), ...
inline void dilate_rows(uint64_t* rows, uint64_t* out, std::ptrdiff_t height, std::ptrdiff_t width, int reach,
                        bool ring) {
  const std::ptrdiff_t words = (width + 63) / 64;
  const uint64_t tail = width % 64 ? (uint64_t(1) << (width % 64)) - 1 : ~uint64_t(0);
  if (words == 1 && reach == 1) {  // the common case: a row is a word, one step
    for (std::ptrdiff_t y = 0; y < height; ++y) rows[y] = (rows[y] | rows[y] << 1 | rows[y] >> 1) & tail;
    for (std::ptrdiff_t y = 0; y < height; ++y)
      out[y] = rows[y] | (y ? rows[y - 1] : 0) | (y + 1 < height ? rows[y + 1] : 0);
  } else {
    for (std::ptrdiff_t y = 0; y < height; ++y) {  // sideways, in place, one step at a time
      uint64_t* row = rows + y * words;
      for (int step = 0; step < reach; ++step) {
        uint64_t carry = 0;
        for (std::ptrdiff_t i = 0; i < words; ++i) {
          const uint64_t v = row[i], next = i + 1 < words ? row[i + 1] : 0;
          row[i] = v | v << 1 | carry | v >> 1 | next << 63;
          carry = v >> 63;
        }
        row[words - 1] &= tail;
      }
    }
    for (std::ptrdiff_t y = 0; y < height; ++y) {
      const std::ptrdiff_t low = y < reach ? 0 : y - reach, high = y + reach < height ? y + reach : height - 1;
      for (std::ptrdiff_t i = 0; i < words; ++i) {
        uint64_t v = 0;
        for (std::ptrdiff_t r = low; r <= high; ++r) v |= rows[r * words + i];
        out[y * words + i] = v;
      }
    }
  }
  if (!ring) return;
  for (std::ptrdiff_t y = 0; y < height; ++y)  // the ring is above: border cells within reach are kept
    for (std::ptrdiff_t x = 0; x < width; ++x)
      if (y < reach || x < reach || y >= height - reach || x >= width - reach)
        out[y * words + x / 64] |= uint64_t(1) << (x % 64);
}

// A map of at most 64 cells is one word, flat: bit p is cell p. One step sideways must not leave its row.
//
//     width 3:   bit 0 1 2 | 3 4 5 | 6 7 8      not_first: all but 0, 3, 6      not_last: all but 2, 5, 8
struct FlatMap {
  bool fits;
  int width;
  uint64_t all, not_first, not_last;

  FlatMap(std::ptrdiff_t map_height, std::ptrdiff_t map_width, int reach)
      : fits(map_height * map_width <= 64 && reach == 1), width(int(map_width)), all(0), not_first(0), not_last(0) {
    if (!fits) return;
    uint64_t first = 0, last = 0;
    for (std::ptrdiff_t y = 0; y < map_height; ++y) {
      first |= uint64_t(1) << (y * map_width);
      last |= uint64_t(1) << (y * map_width + map_width - 1);
    }
    const std::ptrdiff_t cells = map_height * map_width;
    all = cells < 64 ? (uint64_t(1) << cells) - 1 : ~uint64_t(0);
    not_first = all & ~first;
    not_last = all & ~last;
  }

  uint64_t dilate(uint64_t bits) const {
    const uint64_t side = bits | (bits & not_last) << 1 | (bits & not_first) >> 1;
    if (width == 64) return side & all;
    return (side | side << width | side >> width) & all;
  }
};
