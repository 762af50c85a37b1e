// Which instruction sets this machine can run, asked of the processor and the operating system once.
#pragma once
#if defined(__x86_64__) || defined(_M_X64)
#include <cstdint>
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace fd {

struct X86Features {
  bool v3 = false, v4 = false;  // v4 here includes VPOPCNTDQ, which x86-64-v4 itself leaves out

  X86Features() {
    uint32_t r1[4], r7[4], re[4], r0[4], re0[4];
    ask(0, r0);
    ask(0x80000000u, re0);
    if (r0[0] < 7 || re0[0] < 0x80000001u) return;
    ask(1, r1);
    ask(7, r7);
    ask(0x80000001u, re);
    const auto has = [](uint32_t reg, int bit) { return bool(reg >> bit & 1); };
    // sse3 ssse3 fma sse4.1 sse4.2 movbe popcnt osxsave avx f16c; avx2 bmi1 bmi2; lzcnt
    const uint32_t level3 =
        1u << 0 | 1u << 9 | 1u << 12 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 27 | 1u << 28 | 1u << 29;
    if ((r1[2] & level3) != level3) return;
    const uint64_t saved = saved_state();
    if ((saved & 0x6) != 0x6) return;
    v3 = has(r7[1], 5) && has(r7[1], 3) && has(r7[1], 8) && has(re[2], 5);
    // avx512 f dq cd bw vl, vpopcntdq, and the system saves its registers
    v4 = v3 && (saved & 0xE6) == 0xE6 && has(r7[1], 16) && has(r7[1], 17) && has(r7[1], 28) && has(r7[1], 30) &&
         has(r7[1], 31) && has(r7[2], 14);
  }

 private:
  static void ask(uint32_t leaf, uint32_t* r) {
#if defined(_MSC_VER)
    int v[4];
    __cpuidex(v, int(leaf), 0);
    for (int i = 0; i < 4; ++i) r[i] = uint32_t(v[i]);
#else
    __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]);
#endif
  }
  static uint64_t saved_state() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t(high) << 32 | low;
#endif
  }
};

}  // namespace fd
#endif
