#include "cli/measure/table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/console.h"

namespace qwen3::cli {
namespace {

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == cell.npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string markdown_cell(const std::string& cell) {
  std::string escaped;
  for (const char c : cell) escaped += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  return escaped;
}

}  // namespace

TableWriter::TableWriter(TableFormat format, std::vector<std::string> columns)
    : format_(format), columns_(std::move(columns)) {
  row(columns_);
  if (format_ == TableFormat::markdown) {
    row(std::vector<std::string>(columns_.size(), "---"));
  }
}

void TableWriter::row(const std::vector<std::string>& cells) const {
  QWEN3_CHECK(cells.size() == columns_.size(), ErrorKind::internal, "a row of another table");
  std::string line = format_ == TableFormat::markdown ? "|" : "";
  for (size_t i = 0; i < cells.size(); ++i) {
    if (format_ == TableFormat::markdown) {
      line += " " + markdown_cell(cells[i]) + " |";
    } else {
      line += (i == 0 ? "" : ",") + csv_cell(cells[i]);
    }
  }
  print_out(line + "\n");
}

}  // namespace qwen3::cli
