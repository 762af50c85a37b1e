// Memory for what the kernels return and reserve: uninitialised, lent again when it comes back. A batch needs some
// megabytes that the next one needs again; asking the system for them each time costs a page fault for every 4 KB, a
// quarter of a sift's time. At most kMostIdle bytes lie idle; where the system has large pages, large blocks ask for
// them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fd {

class Memory {
 public:
  static void* take(size_t bytes) {
    if (bytes >= kSmall) {
      const std::lock_guard<std::mutex> hold(lock());
      std::vector<Block*>& idle = shelf();
      size_t best = idle.size();
      for (size_t i = 0; i < idle.size(); ++i)
        if (idle[i]->room >= bytes && idle[i]->room / 4 <= bytes &&
            (best == idle.size() || idle[i]->room < idle[best]->room))
          best = i;
      if (best < idle.size()) {
        Block* found = idle[best];
        idle.erase(idle.begin() + std::ptrdiff_t(best));
        return found + 1;
      }
    }
    return fresh(bytes) + 1;
  }

  static void give(void* data) {
    if (!data) return;
    Block* block = static_cast<Block*>(data) - 1;
    if (block->room >= kSmall) {
      const std::lock_guard<std::mutex> hold(lock());
      std::vector<Block*>& idle = shelf();
      size_t lying = block->room;
      for (const Block* other : idle) lying += other->room;
      if (lying <= kMostIdle) {
        idle.push_back(block);
        return;
      }
    }
    std::free(block);
  }

 private:
  struct alignas(64) Block {
    size_t room;
  };
  static constexpr size_t kSmall = size_t(1) << 17, kMostIdle = size_t(16) << 20, kLarge = size_t(4) << 20;

  static Block* fresh(size_t bytes) {
    void* found = nullptr;
#if defined(__linux__)
    if (posix_memalign(&found, bytes >= kLarge ? size_t(2) << 20 : 64, bytes + sizeof(Block))) throw std::bad_alloc();
    if (bytes >= kLarge) madvise(found, bytes + sizeof(Block), MADV_HUGEPAGE);  // a wish; nothing depends on it
#else
    found = std::malloc(bytes + sizeof(Block));
    if (!found) throw std::bad_alloc();
#endif
    auto* block = static_cast<Block*>(found);
    block->room = bytes;
    return block;
  }
  static std::mutex& lock() {
    static std::mutex* m = new std::mutex;  // never destroyed: arrays may come back after the program's end began
    return *m;
  }
  static std::vector<Block*>& shelf() {
    static auto* s = new std::vector<Block*>;
    return *s;
  }
};

struct GiveBack {
  void operator()(void* data) const { Memory::give(data); }
};

}  // namespace fd
