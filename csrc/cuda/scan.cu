// scan: where each of many lists begins, from their lengths; and, on the same read, its number among those not empty.
//
//   lengths  3 0 2 1   ->   starts   0 3 3 5 | 6        (one more than there are lengths: the last is the total)
//                           records  0 1 1 2 | 3        (a record is a list with something in it)
//
// Three launches: sums of tiles, a scan of those by one block, and the scan inside each tile. Sums are int64.
// Bytes a list: 8 read, 8 written, 8 more where records are asked for (`records` may be a null pointer).
#include "port.cuh"

constexpr int kTile = 1024;  // lengths a block, one a thread

// Exclusive scan over the block (blockDim.x <= 1024); every thread gets its start, *total the sum.
__device__ inline int64_t block_scan(int64_t value, int64_t* warps, int64_t* total) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, count = (blockDim.x + 31) >> 5;
  int64_t sum = value;
  for (int step = 1; step < 32; step *= 2) {
    const int64_t below = __shfl_up_sync(kFullWarp, sum, step);
    if (lane >= step) sum += below;
  }
  if (lane == 31) warps[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    const int64_t own = lane < count ? warps[lane] : 0;
    int64_t running = own;
    for (int step = 1; step < 32; step *= 2) {
      const int64_t below = __shfl_up_sync(kFullWarp, running, step);
      if (lane >= step) running += below;
    }
    if (lane < count) warps[lane] = running - own;
    if (lane == 31) warps[32] = running;
  }
  __syncthreads();
  *total = warps[32];
  const int64_t start = warps[warp] + sum - value;
  __syncthreads();  // `warps` may be written again
  return start;
}

// sums [2][tiles + 1]: of the lengths, and of the records.
FD_KERNEL __launch_bounds__(kTile) fd_scan_tiles(const uint32_t* lengths, int64_t count, int64_t* sums) {
  FD_SHARED(int64_t, warps);  // 33
  const int64_t i = int64_t(blockIdx.x) * kTile + threadIdx.x, tiles = gridDim.x;
  const uint32_t length = i < count ? lengths[i] : 0;
  int64_t total, records;
  block_scan(length, warps, &total);
  block_scan(length > 0, warps, &records);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = total;
    sums[tiles + 1 + blockIdx.x] = records;
  }
}

// A block for the lengths' sums and one for the records'; in place: sums[i] becomes the sum of the tiles before i,
// sums[tiles] the total.
FD_KERNEL __launch_bounds__(kTile) fd_scan_sums(int64_t* both, int64_t tiles) {
  FD_SHARED(int64_t, warps);
  int64_t* sums = both + blockIdx.x * (tiles + 1);
  int64_t before = 0;
  for (int64_t first = 0; first < tiles; first += blockDim.x) {
    const int64_t i = first + threadIdx.x;
    int64_t total;
    const int64_t start = block_scan(i < tiles ? sums[i] : 0, warps, &total);
    if (i < tiles) sums[i] = before + start;
    before += total;
  }
  if (threadIdx.x == 0) sums[tiles] = before;
}

FD_KERNEL __launch_bounds__(kTile)
    fd_scan_starts(const uint32_t* lengths, int64_t count, const int64_t* sums, int64_t* starts, int64_t* records) {
  FD_SHARED(int64_t, warps);
  const int64_t i = int64_t(blockIdx.x) * kTile + threadIdx.x, tiles = gridDim.x;
  const uint32_t length = i < count ? lengths[i] : 0;
  int64_t total;
  const int64_t start = block_scan(length, warps, &total);
  if (i < count) starts[i] = sums[blockIdx.x] + start;
  if (i == 0) starts[count] = sums[tiles];
  if (!records) return;
  const int64_t record = block_scan(length > 0, warps, &total);
  if (i < count) records[i] = sums[tiles + 1 + blockIdx.x] + record;
  if (i == 0) records[count] = sums[tiles + 1 + tiles];
}
