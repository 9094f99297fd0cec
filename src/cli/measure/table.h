// Rows of a measurement as they come: a Markdown table, or CSV (RFC 4180, with a line of names).
#pragma once

#include <string>
#include <vector>

namespace qwen3::cli {

enum class TableFormat { markdown, csv };

class TableWriter {
 public:
  TableWriter(TableFormat format, std::vector<std::string> columns);

  // As many cells as columns; an empty one is a value that does not exist.
  void row(const std::vector<std::string>& cells) const;

 private:
  const TableFormat format_;
  const std::vector<std::string> columns_;
};

}  // namespace qwen3::cli
