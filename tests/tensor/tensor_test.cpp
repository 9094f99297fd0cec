#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "support/expect_error.h"
#include "tensor/storage.h"

namespace qwen3 {
namespace {

TEST(Shape, Facts) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().numel(), 0);
  EXPECT_EQ((Shape{2, 3, 4}.numel()), 24);
  EXPECT_EQ((Shape{2, 0, 4}.numel()), 0);
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_TRUE((Shape{1, 2} == Shape{1, 2}));
  EXPECT_FALSE((Shape{1, 2} == Shape{1, 2, 1}));
}

TEST(Tensor, RowsAndReshapeAreViews) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor t = Tensor::view(values, {4, 2, 3});
  EXPECT_EQ(t.row_stride(), 6);
  const Tensor part = t.rows(1, 2);
  EXPECT_EQ(part.shape(), (Shape{2, 2, 3}));
  EXPECT_EQ(part.f32(), values.data() + 6);
  EXPECT_EQ(*part.f32_row(1), 12);
  EXPECT_EQ(t.rows(4, 0).numel(), 0);
  const Tensor flat = part.reshape({12});
  EXPECT_EQ(flat.f32()[11], 17);
  EXPECT_EQ(t.reshape({4, 6}).rows(3, 1).f32()[5], 23);
  EXPECT_FALSE(Tensor());
  EXPECT_TRUE(t);
}

TEST(LayoutBytes, RowMajorIsDense) {
  EXPECT_EQ(layout_bytes(DType::f32, {3, 5}, Layout::row_major), 60);
  EXPECT_EQ(layout_bytes(DType::bf16, {2, 3, 5}, Layout::row_major), 60);
  EXPECT_EQ(layout_bytes(DType::i32, {7}, Layout::row_major), 28);
}

TEST(LayoutBytes, Panel16PadsRowsAndPairs) {
  EXPECT_EQ(layout_bytes(DType::f32, {16, 5}, Layout::panel16), 16 * 5 * 4);
  EXPECT_EQ(layout_bytes(DType::f32, {17, 5}, Layout::panel16), 32 * 5 * 4);
  EXPECT_EQ(layout_bytes(DType::bf16, {17, 5}, Layout::panel16), 32 * 6 * 2);
  EXPECT_EQ(layout_bytes(DType::f16, {1, 1}, Layout::panel16), 16 * 2 * 2);
  // Experts are padded one by one.
  EXPECT_EQ(layout_bytes(DType::bf16, {3, 17, 5}, Layout::panel16), 3 * 32 * 6 * 2);
  EXPECT_EQ(layout_bytes(DType::f32, {7}, Layout::panel16), 28);
}

TEST(Storage, IsZeroedAlignedAndMoves) {
  Storage a(5000);
  EXPECT_EQ(a.bytes(), 5000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.data()) % 4096, 0u);
  EXPECT_TRUE(
      std::all_of(a.data(), a.data() + 5000, [](std::byte b) { return b == std::byte{0}; }));
  std::byte* const data = a.data();
  Storage b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move): that is the point
  Storage c;
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(Storage(0).data(), nullptr);
  EXPECT_GE(Storage((4 << 20) + 1).bytes(), (4 << 20) + 1);
}

TEST(Storage, TooMuchIsAnError) {
  EXPECT_ERROR(Storage(int64_t{1} << 60),
               ErrorKind::out_of_memory,
               "cannot allocate 1152921504606846976 bytes");
  EXPECT_ERROR(Storage(-1), ErrorKind::internal, "negative");
}

TEST(Arena, MeasuresThenCarvesTheSame) {
  const auto carve = [](Arena& arena) {
    std::vector<Tensor> tensors;
    tensors.push_back(arena.take(DType::f32, {3}));
    tensors.push_back(arena.take(DType::bf16, {17, 5}, Layout::panel16));
    tensors.push_back(arena.take(DType::i32, {2, 2}));
    return tensors;
  };
  Arena measure;
  for (const Tensor& t : carve(measure)) EXPECT_FALSE(t);
  EXPECT_EQ(measure.used(), 64 + 384 + 16);
  const Storage storage(measure.used());
  Arena arena(storage);
  const std::vector<Tensor> tensors = carve(arena);
  EXPECT_EQ(arena.used(), measure.used());
  for (const Tensor& t : tensors) EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data()) % 64, 0u);
  EXPECT_EQ(tensors[1].data(), storage.data() + 64);
  EXPECT_EQ(tensors[1].layout(), Layout::panel16);
  EXPECT_EQ(tensors[1].shape(), (Shape{17, 5}));
  EXPECT_ERROR(arena.take(DType::f32, {1000}), ErrorKind::internal, "arena");
}

}  // namespace
}  // namespace qwen3
