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

inline bool is_plain(std::ptrdiff_t cells, float sum, float top) {
  return cells <= std::ptrdiff_t(1) << 26 && top <= 1e30f && sum >= -1e35f && sum <= 1e35f;
}
