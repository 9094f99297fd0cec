#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/expect_error.h"
#include "tensor/storage.h"
#include "tensor/weight.h"

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

TEST(Weight, IsOneMatrixOrAStackOfThem) {
  std::array<std::byte, 3 * 40> bytes{};
  const Weight stack(bytes.data(), WeightType::bf16, {3, 4, 5}, {.layout = 2, .bytes = 40});
  EXPECT_EQ(stack.n_matrices(), 3);
  EXPECT_EQ(stack.n_out(), 4);
  EXPECT_EQ(stack.n_in(), 5);
  EXPECT_EQ(stack.numel(), 60);
  EXPECT_EQ(stack.bytes(), 120);
  const Weight last = stack.matrix(2);
  EXPECT_EQ(last.data(), bytes.data() + 80);
  EXPECT_EQ(last.shape(), (Shape{4, 5}));
  EXPECT_EQ(last.n_matrices(), 1);
  EXPECT_EQ(last.format().layout, 2);
  EXPECT_EQ(last.matrix(0).data(), last.data());
  EXPECT_FALSE(Weight());
}

// What only weights can be: no operation on activations takes one by mistake.
static_assert(!std::is_convertible_v<Weight, Tensor>);
static_assert(!std::is_constructible_v<Tensor, Weight>);

TEST(Weight, RowsTakeTheBytesOfTheirBlocks) {
  EXPECT_EQ(row_bytes(WeightType::f32, 5), 20);
  EXPECT_EQ(row_bytes(WeightType::bf16, 5), 10);
  EXPECT_EQ(row_bytes(WeightType::f16, 0), 0);
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
    tensors.push_back(arena.take(DType::bf16, {32, 6}));
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
  EXPECT_EQ(tensors[1].shape(), (Shape{32, 6}));
  EXPECT_ERROR(arena.take(DType::f32, {1000}), ErrorKind::internal, "arena");
}

}  // namespace
}  // namespace qwen3
