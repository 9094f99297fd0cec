#include "formats/npy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/input_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;

// numpy.lib.format's layout, by hand.
std::string npy(std::string header, std::string_view data, char major = 1) {
  const size_t prefix = major == 1 ? 10 : 12;
  while ((prefix + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string file = std::string("\x93NUMPY") + major + '\0';
  for (size_t i = 0; i < (major == 1 ? 2 : 4); ++i)
    file += static_cast<char>(header.size() >> 8 * i & 0xFF);
  return file.append(header).append(data);
}

template <typename T>
std::string bytes(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

NpyArray read(const std::string& file) {
  const test::TempDir dir;
  return read_npy(dir.write("a.npy", file));
}

// numpy.save(f, numpy.arange(6, dtype="<f4").reshape(2, 3)) byte for byte.
TEST(Npy, WritesWhatNumPyWrites) {
  const test::TempDir dir;
  std::vector<float> values = {0, 1, 2, 3, 4, 5};
  write_npy(dir.path() / "a.npy", Tensor::view(values, {2, 3}));
  const std::string file = read_text_file(dir.path() / "a.npy", 1000);
  EXPECT_EQ(file,
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                bytes<float>({0, 1, 2, 3, 4, 5})));
  EXPECT_EQ((file.size() - 24) % 64, 0u);
}

TEST(Npy, RoundTrips) {
  const test::TempDir dir;
  const auto path = dir.path() / "a.npy";
  for (const Shape& shape :
       {Shape{24}, Shape{2, 12}, Shape{2, 3, 4}, Shape{1, 2, 3, 4}, Shape{0, 5}}) {
    std::vector<float> values(24);
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.1f * static_cast<float>(i) - 1;
    write_npy(path, Tensor::view(values, shape));
    const NpyArray array = read_npy(path);
    ASSERT_EQ(array.shape.size(), static_cast<size_t>(shape.rank()));
    for (int i = 0; i < shape.rank(); ++i) EXPECT_EQ(array.shape[static_cast<size_t>(i)], shape[i]);
    values.resize(static_cast<size_t>(shape.numel()));
    EXPECT_EQ(array.values, values);
  }
}

TEST(Npy, WritesIntegers) {
  const test::TempDir dir;
  std::vector<int32_t> values = {7, -3};
  write_npy(dir.path() / "a.npy", Tensor(values.data(), DType::i32, {2}));
  EXPECT_EQ(read_npy(dir.path() / "a.npy").values, (std::vector<float>{7, -3}));
  EXPECT_ERROR(write_npy(dir.path() / "b.npy", Tensor(values.data(), DType::bf16, {2})),
               ErrorKind::invalid_argument,
               "b.npy",
               "bfloat16");
  EXPECT_ERROR(write_npy(dir.path() / "no" / "b.npy", Tensor(values.data(), DType::i32, {2})),
               ErrorKind::io,
               "b.npy",
               "No such");
}

TEST(Npy, ReadsOtherTypesVersionsAndOrders) {
  EXPECT_EQ(read(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
                     bytes<double>({1.5, -2})))
                .values,
            (std::vector<float>{1.5, -2}));
  EXPECT_EQ(
      read(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", bytes<int64_t>({-7})))
          .values,
      std::vector<float>{-7});
  EXPECT_EQ(read(npy("{'shape': (), 'fortran_order': False, 'descr': '<f4'}", bytes<float>({3}), 2))
                .values,
            std::vector<float>{3});
  EXPECT_EQ(
      read(npy("{'descr':'<f4','fortran_order':False,'shape':(1,1,)}", bytes<float>({3}), 3)).shape,
      (std::vector<int64_t>{1, 1}));
}

TEST(Npy, RefusesWhatIsWrong) {
  const std::string ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_EQ(read(npy(ok, "1234")).values.size(), 1u);
  EXPECT_ERROR(read(""), kCorrupt, "a.npy: expected a .npy file");
  EXPECT_ERROR(read("\x93NUMPX" + std::string(20, '\1')), kCorrupt, "expected a .npy file");
  EXPECT_ERROR(read(npy(ok, "1234", 4)), kCorrupt, "got 4.0");
  EXPECT_ERROR(read(npy(ok, "123")), kCorrupt, "expected 4 bytes of data, got 3");
  EXPECT_ERROR(read(npy(ok, "12345")), kCorrupt, "got 5");
  EXPECT_ERROR(read(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234")),
               kCorrupt,
               "got >f4");
  EXPECT_ERROR(read(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "1234")),
               kCorrupt,
               "fortran_order True");
  for (const std::string bad : {"",
                                "{",
                                "}",
                                "{'descr': '<f4'",
                                "{'descr' '<f4'}",
                                "{'x': 1}",
                                "{'shape': (1 2)}",
                                "{'shape': (-1,)}",
                                "{'shape': [1]}",
                                "{'shape': (99999999999999999999,)}",
                                "{'fortran_order': 0}",
                                "{'descr': '<f4}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x"}) {
    EXPECT_ERROR(read(npy(bad, "1234")), kCorrupt, "a.npy: .npy header: expected");
  }
  EXPECT_ERROR(
      read(
          npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "")),
      kCorrupt,
      "of data");
  EXPECT_ERROR(read_npy("does-not-exist.npy"), ErrorKind::not_found, "does-not-exist.npy");
}

TEST(Npy, EveryTruncationIsRefused) {
  const std::string file =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", bytes<float>({1, 2}));
  for (size_t n = 0; n < file.size(); ++n)
    EXPECT_ERROR(read(file.substr(0, n)), kCorrupt, "a.npy: ");
}

}  // namespace
}  // namespace qwen3
