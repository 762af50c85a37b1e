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

void run_kernel() {
  kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[16],
         a[17], a[18], a[19], a[20], a[21], a[22], a[23], a[24], a[25], a[26], a[27], a[28], a[29], a[30], a[31], a[32],
         a[33], a[34], a[35], a[36], a[37], a[38], a[39]);
}

void thread_main() {
  run_kernel();
  shim::Block& block = shim::block;
  shim::Thread& me = shim::self();
  me.done = true;
  block.warps[me.warp].ended |= 1u << me.lane;
  --block.live;
  ++block.progress;
  void* nowhere;
  if (!block.live) shim::fd_shim_switch(&nowhere, block.home);
  if (block.arrived == block.live) shim::end_of_barrier();  // a barrier counts the threads that are left
  block.current = shim::next_live();
  shim::fd_shim_switch(&nowhere, shim::self().stack_pointer);
  std::abort();
}

}  // namespace

// 0, or 1 with a message in `failure` (256 bytes). `stride` must have no factor in common with the block's threads.
extern "C" int fd_shim_launch(void* function, const uint64_t* grid, uint64_t threads, uint64_t shared, const Word* arguments,
                              int count, uint64_t stride, char* failure) {
  shim::Block& block = shim::block;
  if (count > kMost) return std::snprintf(failure, 256, "more than %d arguments", kMost), 1;
  kernel = reinterpret_cast<Kernel>(function);
  for (int i = 0; i < kMost; ++i) a[i] = i < count ? arguments[i] : 0xDEADBEEFDEADBEEFull;
  static std::vector<char> stacks;  // kept between launches: fresh pages cost more than most kernels
  if (stacks.size() < threads * shim::kStack) stacks.resize(threads * shim::kStack);
  const uint64_t blocks = grid[0] * grid[1] * grid[2];
  for (uint64_t turn = 0; turn < blocks; ++turn) {
    const uint64_t i = stride == 1 ? turn : blocks - 1 - turn;  // none may count on another's being first
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
      auto top = reinterpret_cast<uint64_t*>(reinterpret_cast<uintptr_t>(&stacks[(t + 1) * shim::kStack]) & ~uintptr_t(15));
      *--top = 0;
      *--top = reinterpret_cast<uint64_t>(&thread_main);
      for (int k = 0; k < 6; ++k) *--top = 0;
      thread.stack_pointer = top;
    }
    block.current = 0;
    shim::fd_shim_switch(&block.home, block.threads[0].stack_pointer);
    if (block.failure[0]) return std::memcpy(failure, block.failure, sizeof block.failure), 1;
  }
  return 0;
}
