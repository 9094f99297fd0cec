#include "chat/template.h"

#include <utility>

#include "base/error.h"
#include "chat/jinja/globals.h"
#include "chat/jinja/interpreter.h"
#include "chat/jinja/parser.h"

namespace qwen3 {
namespace {

jinja::Text render_text(const jinja::Program& program,
                        const Json& context,
                        const TemplateLimits& limits) {
  QWEN3_CHECK(context.is_object(),
              ErrorKind::invalid_argument,
              "{}: the variables of a template must be a JSON object",
              program.where);
  return jinja::Interpreter(program, limits).render(context);
}

}  // namespace

std::string join_segments(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

ChatTemplate::ChatTemplate(std::shared_ptr<const jinja::Program> program)
    : program_(std::move(program)) {}

ChatTemplate ChatTemplate::parse(std::string_view source, std::string_view where) {
  return ChatTemplate(jinja::parse_template(source, where));
}

std::string ChatTemplate::render(const Json& context, const TemplateLimits& limits) const {
  return std::string(render_text(*program_, context, limits).view());
}

std::vector<Segment> ChatTemplate::render_segments(const Json& context,
                                                   const TemplateLimits& limits) const {
  std::vector<Segment> segments;
  render_text(*program_, context, limits).for_each_run([&](std::string_view text, bool trusted) {
    segments.push_back({std::string(text), trusted});
  });
  return segments;
}

bool ChatTemplate::reads(std::string_view name) const {
  return program_->reads.contains(name) && jinja::find_global(name) == nullptr;
}

std::vector<std::string> ChatTemplate::variables() const {
  std::vector<std::string> names;
  for (const std::string& name : program_->reads) {
    if (reads(name)) names.push_back(name);
  }
  return names;
}

const std::string& ChatTemplate::source() const { return program_->source; }

const std::string& ChatTemplate::where() const { return program_->where; }

}  // namespace qwen3
