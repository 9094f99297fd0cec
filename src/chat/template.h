// Chat templates: an interpreter of the part of Jinja that chat templates use, equal byte for byte
// to Jinja2 as transformers configures it (trim_blocks, lstrip_blocks, loopcontrols, generation
// tags, tojson = json.dumps(ensure_ascii=False)).
//
// A template comes with a model, so it is somebody else's program: it sees plain values only (no
// host objects, files, imports), and every render is bounded by TemplateLimits.
//
// A render also knows where each byte came from. Text of the template itself is trusted: it may
// spell control tokens such as <|im_start|>. Text that came in through the context (messages,
// tools, names) is not, and stays so through filters, methods, slices and concatenation. Whoever
// turns the prompt into token ids recognises control tokens in trusted segments only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qwen3 {

struct TemplateLimits {
  int64_t max_steps = 1'000'000;       // evaluated nodes, touched elements, bytes / 64
  int max_depth = 64;                  // macro recursion, nesting of values
  int64_t max_output_bytes = 8 << 20;  // the render, and every single string made on the way
  int64_t max_range = 100'000;         // elements of range(), as in Jinja's sandbox
};

// A piece of a prompt. `trusted` is true for text of the template (data and constants); false for
// everything that stems from the context, and for the digits of printed numbers.
struct Segment {
  std::string text;
  bool trusted = false;

  bool operator==(const Segment&) const = default;
};

std::string join_segments(const std::vector<Segment>& segments);

namespace jinja {
struct Program;
}

// A parsed template. Immutable; one object may render on several threads at once.
class ChatTemplate {
 public:
  // `where` begins error messages ("chat_template.jinja"). Throws Error{corrupt_file} for syntax
  // errors and Error{unsupported} for Jinja that is refused on purpose (include, import, extends,
  // block, nesting beyond 64); the message names the line.
  static ChatTemplate parse(std::string_view source, std::string_view where);

  // Renders with the members of `context` (an object) as variables. Throws Error{invalid_argument}
  // with the template's own message for raise_exception(), and with file and line for errors while
  // rendering or a breach of `limits`.
  std::string render(const Json& context, const TemplateLimits& limits = {}) const;

  // As render(), with the origin of the text; neighbours differ in `trusted`, none is empty.
  std::vector<Segment> render_segments(const Json& context,
                                       const TemplateLimits& limits = {}) const;

  // Whether a variable of that name in the context can change the render: the template reads it and
  // does not set it itself before. Names of Jinja's own functions do not count.
  bool reads(std::string_view name) const;

  // The names for which reads() is true, sorted.
  std::vector<std::string> variables() const;

  const std::string& source() const;
  // What begins messages about files and lines, as parse() was told.
  const std::string& where() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Program> program);

  std::shared_ptr<const jinja::Program> program_;
};

}  // namespace qwen3
