// fd_shim_launch: run every block of a grid, one fibre a thread. Linked once into the kernels' shared object.
#include "shim.hpp"

#include <memory>

// Save the six registers that a call preserves, change stacks, restore. x86-64 System V; others: see build.py.
asm(R"(.text
.globl fd_shim_switch
fd_shim_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
)");

namespace {

using Word = uint64_t;
// Kernels take pointers and int64_t alone: 8 bytes each, and an argument too many does no harm in this convention.
using Kernel = void (*)(Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word,
                        Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word,
                        Word, Word, Word, Word, Word, Word, Word, Word);
constexpr int kMost = 40;
Kernel kernel;
Word a[kMost];
char begun, ended;  // what orders a launch's blocks with what comes before and after it

// Stacks and fibers are kept between launches: fresh ones cost more than most kernels. Two sets, for blocks in turn, so
// that two blocks in a row are different threads to a race detector.
struct Lanes {
  std::unique_ptr<char[]> stacks;
  std::vector<void*> fibers;
};

Lanes& lanes_for(uint64_t block, uint64_t threads) {
  static Lanes both[2];
  Lanes& lanes = both[shim::kWatched ? block & 1 : 0];
  if (lanes.fibers.size() < threads) {
    lanes.stacks.reset(new char[threads * shim::kStack]);
    while (lanes.fibers.size() < threads) lanes.fibers.push_back(shim::new_fiber());
  }
  return lanes;
}

void run_kernel() {
  kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[16],
         a[17], a[18], a[19], a[20], a[21], a[22], a[23], a[24], a[25], a[26], a[27], a[28], a[29], a[30], a[31], a[32],
         a[33], a[34], a[35], a[36], a[37], a[38], a[39]);
}

void thread_main() {
  shim::after_barrier(&begun);
  run_kernel();
  shim::before_barrier(&ended);
  void *to, *fiber, *nowhere;
  {
    shim::Quiet quiet;
    shim::Block& block = shim::block;
    shim::Thread& me = shim::self();
    me.done = true;
    block.warps[me.warp].ended |= 1u << me.lane;
    --block.live;
    ++block.progress;
    to = block.home;
    fiber = block.home_fiber;
    if (block.live) {
      if (block.arrived == block.live) shim::end_of_barrier();  // a barrier counts the threads that are left
      block.current = shim::next_live();
      to = shim::self().stack_pointer;
      fiber = shim::self().fiber;
    }
  }
  shim::enter_fiber(fiber);
  shim::fd_shim_switch(&nowhere, to);
  std::abort();
}

}  // namespace

// 0, or 1 with a message in `failure` (256 bytes). `stride` must have no factor in common with the block's threads.
extern "C" int fd_shim_launch(void* function, const uint64_t* grid, uint64_t threads, uint64_t shared, const Word* arguments,
                              int count, uint64_t stride, char* failure) {
  shim::Quiet quiet;
  shim::Block& block = shim::block;
  if (count > kMost) return std::snprintf(failure, 256, "more than %d arguments", kMost), 1;
  kernel = reinterpret_cast<Kernel>(function);
  for (int i = 0; i < kMost; ++i) a[i] = i < count ? arguments[i] : 0xDEADBEEFDEADBEEFull;
  shim::before_barrier(&begun);
  const uint64_t blocks = grid[0] * grid[1] * grid[2];
  for (uint64_t turn = 0; turn < blocks; ++turn) {
    const uint64_t i = stride == 1 ? turn : blocks - 1 - turn;  // none may count on another's being first
    Lanes& lanes = lanes_for(turn, threads);
    std::unique_ptr<char[]> memory(new char[shared]);
    std::memset(memory.get(), 0xCD, shared);
    block = shim::Block{};
    block.shared = memory.get();
    block.grid = {unsigned(grid[0]), unsigned(grid[1]), unsigned(grid[2])};
    block.dimensions = {unsigned(threads), 1, 1};
    block.index = {unsigned(i % grid[0]), unsigned(i / grid[0] % grid[1]), unsigned(i / (grid[0] * grid[1]))};
    block.live = unsigned(threads);
    block.stride = unsigned(stride);
    block.threads.resize(threads);
    block.warps.resize((threads + 31) / 32);
    for (uint64_t t = 0; t < threads; ++t) {
      shim::Thread& thread = block.threads[t];
      thread.index = {unsigned(t), 0, 0};
      thread.lane = unsigned(t % 32);
      thread.warp = unsigned(t / 32);
      auto top = reinterpret_cast<uint64_t*>(reinterpret_cast<uintptr_t>(&lanes.stacks[(t + 1) * shim::kStack]) & ~uintptr_t(15));
      *--top = 0;
      *--top = reinterpret_cast<uint64_t>(&thread_main);
      for (int k = 0; k < 6; ++k) *--top = 0;
      thread.stack_pointer = top;
      thread.fiber = lanes.fibers[t];
    }
    block.current = 0;
    block.home_fiber = shim::this_fiber();
    shim::enter_fiber(block.threads[0].fiber);
    shim::fd_shim_switch(&block.home, block.threads[0].stack_pointer);
    if (block.failure[0]) return std::memcpy(failure, block.failure, sizeof block.failure), 1;
  }
  shim::after_barrier(&ended);
  return 0;
}
