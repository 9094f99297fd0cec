#include "chat/json_text.h"

#include "base/error.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/value.h"

namespace qwen3 {
namespace {

using jinja::Expr;
using jinja::ExprKind;

std::optional<Json> scalar(const jinja::Value& value) {
  switch (value.kind()) {
    case jinja::Kind::none:
      return Json();
    case jinja::Kind::boolean:
      return Json(value.boolean());
    case jinja::Kind::floating:
      return Json(value.number());
    case jinja::Kind::string:
      return Json(std::string(value.view()));
    case jinja::Kind::integer: {
      const jinja::Int n = value.integral();
      if (n < INT64_MIN || n > INT64_MAX) return std::nullopt;
      return Json(static_cast<int64_t>(n));
    }
    default:
      return std::nullopt;
  }
}

// The parser has bounded the depth.
std::optional<Json> literal(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::constant:
      return scalar(expr.value);
    case ExprKind::minus: {
      const auto value = literal(*expr.parts[0]);
      if (value && value->is_number_integer() && *value != INT64_MIN)
        return Json(-value->get<int64_t>());
      if (value && value->is_number_float()) return Json(-value->get<double>());
      return std::nullopt;
    }
    case ExprKind::list:
    case ExprKind::tuple: {
      Json list = Json::array();
      for (const auto& part : expr.parts) {
        auto item = literal(*part);
        if (!item) return std::nullopt;
        list.push_back(*std::move(item));
      }
      return list;
    }
    case ExprKind::dict: {
      std::vector<std::pair<std::string, Json>> entries;
      for (size_t i = 0; i < expr.parts.size(); i += 2) {
        const auto key = literal(*expr.parts[i]);
        auto value = literal(*expr.parts[i + 1]);
        if (!key || !key->is_string() || !value) return std::nullopt;
        entries.emplace_back(key->get<std::string>(), *std::move(value));
      }
      Json object = Json::object();
      for (auto& [key, value] : entries) object[key] = std::move(value);
      return object;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string python_json(const Json& value) {
  // The value was parsed within limits of its own.
  const TemplateLimits unlimited{
      .max_steps = INT64_MAX / 2, .max_depth = 4096, .max_output_bytes = INT64_MAX / 2};
  jinja::Meter meter("JSON", unlimited);
  jinja::JsonStyle style;
  style.item_separator = jinja::Text(", ", true);
  style.key_separator = jinja::Text(": ", true);
  return std::string(jinja::to_json_text(jinja::from_json(value, meter), style, meter).view());
}

std::optional<Json> parse_python_literal(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return std::nullopt;
  // Jinja's literals are Python's; anything else that parses is refused by its shape.
  try {
    const auto program = jinja::parse_template("{{ (" + std::string(text) + "\n) }}", "literal");
    if (program->body.size() != 1 || program->body[0]->kind != jinja::StmtKind::output)
      return std::nullopt;
    const auto& exprs = program->body[0]->exprs;
    return exprs.size() == 1 ? literal(*exprs[0]) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace qwen3
