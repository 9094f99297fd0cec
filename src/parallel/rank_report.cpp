#include "parallel/rank_report.h"

#include <algorithm>
#include <cstring>

#include "base/checksum64.h"
#include "base/error.h"

namespace qwen3 {
namespace {

constexpr uint32_t kReportMagic = 0x54525051;  // "QPRT"

struct ReportHeader {
  uint32_t magic, n_text;
  uint64_t number, hidden_hash, checksum;
};
constexpr size_t kMaxText = kReportBytes - sizeof(ReportHeader);

uint64_t checksum_of(ReportHeader header, std::span<const std::byte> text) {
  header.checksum = 0;
  return checksum64(std::as_bytes(std::span(&header, 1))) ^ checksum64(text);
}

}  // namespace

void encode_report(std::span<std::byte, kReportBytes> to, const RankReport& report) {
  const size_t n_text = std::min(report.problem.size(), kMaxText);
  const auto text = to.subspan(sizeof(ReportHeader), n_text);
  std::copy_n(std::as_bytes(std::span(report.problem)).begin(), n_text, text.begin());
  ReportHeader header{
      kReportMagic, static_cast<uint32_t>(n_text), report.number, report.hidden_hash, 0};
  header.checksum = checksum_of(header, text);
  std::memcpy(to.data(), &header, sizeof header);
}

RankReport decode_report(std::span<const std::byte> bytes) {
  ReportHeader header;
  QWEN3_CHECK(bytes.size() >= sizeof header,
              ErrorKind::internal,
              "report of a step: expected at least {} bytes, got {}",
              sizeof header,
              bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  QWEN3_CHECK(header.magic == kReportMagic && header.n_text <= bytes.size() - sizeof header,
              ErrorKind::internal,
              "report of a step: expected a text within {} bytes, got one of {} ({:x})",
              bytes.size(),
              header.n_text,
              header.magic);
  const auto text = bytes.subspan(sizeof header, header.n_text);
  QWEN3_CHECK(header.checksum == checksum_of(header, text),
              ErrorKind::internal,
              "report of a step: its checksum is wrong");
  return {header.number,
          header.hidden_hash,
          std::string(reinterpret_cast<const char*>(text.data()), text.size())};
}

}  // namespace qwen3
