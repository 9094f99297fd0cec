#include "grammar/schema_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "grammar/limits.h"
#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {

constexpr int32_t kAmbiguous = -1;  // instead of a resource

constexpr std::array kHoldsSchema = {"additionalItems",
                                     "additionalProperties",
                                     "contains",
                                     "else",
                                     "if",
                                     "items",
                                     "not",
                                     "propertyNames",
                                     "then",
                                     "unevaluatedItems",
                                     "unevaluatedProperties",
                                     "contentSchema"};
constexpr std::array kHoldsSchemas = {"allOf", "anyOf", "items", "oneOf", "prefixItems"};
constexpr std::array kHoldsNamedSchemas = {
    "$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"};

template <typename Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const std::string* text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? &found->get_ref<const std::string&>()
                                                     : nullptr;
}

SchemaDialect dialect_of(std::string_view uri, const std::string& place) {
  while (uri.ends_with('#')) uri.remove_suffix(1);
  if (uri.starts_with("https:")) uri.remove_prefix(6);
  if (uri.starts_with("http:")) uri.remove_prefix(5);
  if (uri == "//json-schema.org/draft-04/schema") return SchemaDialect::draft4;
  if (uri == "//json-schema.org/draft-06/schema") return SchemaDialect::draft6;
  if (uri == "//json-schema.org/draft-07/schema") return SchemaDialect::draft7;
  if (uri == "//json-schema.org/draft/2019-09/schema") return SchemaDialect::draft2019;
  if (uri == "//json-schema.org/draft/2020-12/schema") return SchemaDialect::draft2020;
  if (uri == "//json-schema.org/schema") return SchemaDialect::draft2020;
  fail_schema(GrammarFault::unsupported_schema,
              place + "/$schema",
              "not a draft known here; expected draft-04, -06, -07, 2019-09 or 2020-12");
}

}  // namespace

void fail_schema(GrammarFault fault, const std::string& place, const std::string& message) {
  throw GrammarError(fault, place, message);
}

SchemaDocument::SchemaDocument(const Json& root) {
  check_size(root);
  SchemaDialect dialect = SchemaDialect::draft2020;
  if (root.is_object()) {
    if (const std::string* schema = text_at(root, "$schema")) dialect = dialect_of(*schema, "");
  }
  resources_.push_back({"", dialect, {&root, ""}, {}});
  by_uri_.emplace("", 0);
  index(root, "", 0);
  intern(root, false, "", resource_of_.contains(&root) ? resource_of_.at(&root) : 0);
}

// Recursion is bounded by kMaxSchemaDepth, here first of all.
void SchemaDocument::check_size(const Json& root) const {
  int64_t bytes = 0;
  std::vector<std::pair<const Json*, int64_t>> open = {{&root, 1}};
  while (!open.empty()) {
    const auto [json, depth] = open.back();
    open.pop_back();
    bytes += 2;
    if (depth > kMaxSchemaDepth) {
      fail_schema(GrammarFault::too_complex,
                  "",
                  fmt::format("nested deeper than {} levels", kMaxSchemaDepth));
    }
    if (json->is_string())
      bytes += static_cast<int64_t>(json->get_ref<const std::string&>().size());
    if (json->is_object()) {
      for (const auto& item : json->items()) {
        bytes += static_cast<int64_t>(item.key().size()) + 3;
        open.emplace_back(&item.value(), depth + 1);
      }
    } else if (json->is_array()) {
      for (const Json& item : *json) open.emplace_back(&item, depth + 1);
    }
    if (bytes > kMaxSchemaBytes) {
      fail_schema(GrammarFault::too_complex, "", "a schema of more than 1 MiB");
    }
  }
}

void SchemaDocument::index(const Json& json, const std::string& place, int32_t resource) {
  if (!json.is_object()) return;
  resource = enter_resource(json, place, resource);
  resource_of_.emplace(&json, resource);
  add_anchors(json, place, resource);
  index_children(json, place, resource);
}

void SchemaDocument::index_children(const Json& json, const std::string& place, int32_t resource) {
  for (const auto& item : json.items()) {
    const std::string at = place + pointer_step(item.key());
    has_unevaluated_ |= item.key() == "unevaluatedProperties" || item.key() == "unevaluatedItems";
    if (item.value().is_object() && is_one_of(kHoldsSchema, item.key())) {
      index(item.value(), at, resource);
    } else if (item.value().is_array() && is_one_of(kHoldsSchemas, item.key())) {
      for (size_t i = 0; i < item.value().size(); ++i) {
        index(item.value()[i], fmt::format("{}/{}", at, i), resource);
      }
    } else if (item.value().is_object() && is_one_of(kHoldsNamedSchemas, item.key())) {
      for (const auto& named : item.value().items()) {
        index(named.value(), at + pointer_step(named.key()), resource);
      }
    }
  }
}

// The resource that begins with this schema, or the outer one.
int32_t SchemaDocument::enter_resource(const Json& json, const std::string& place, int32_t outer) {
  const bool is_root = place.empty();
  const SchemaDialect outer_dialect = resources_[static_cast<size_t>(outer)].dialect;
  const std::string* id = text_at(json, outer_dialect == SchemaDialect::draft4 ? "id" : "$id");
  if (id == nullptr && is_root && !json.contains("$schema")) id = text_at(json, "id");
  if (id == nullptr || id->starts_with('#')) return outer;
  if (outer_dialect < SchemaDialect::draft2019 && json.contains("$ref")) return outer;
  const std::string uri(
      split_fragment(resolve_uri(resources_[static_cast<size_t>(outer)].uri, *id)).document);
  Resource resource = {uri, outer_dialect, {&json, place}, {}};
  if (const std::string* schema = text_at(json, "$schema")) {
    resource.dialect = dialect_of(*schema, place);
  }
  const auto number = static_cast<int32_t>(resources_.size());
  const auto [known, added] = by_uri_.emplace(uri, number);
  if (!added && !is_root) known->second = kAmbiguous;  // an error only where something refers to it
  resources_.push_back(std::move(resource));
  return number;
}

void SchemaDocument::add_anchors(const Json& json, const std::string& place, int32_t resource) {
  Resource& owner = resources_[static_cast<size_t>(resource)];
  const auto add = [&](const std::string& name) {
    if (owner.anchors.emplace(name, Place{&json, place}).second) return;
    fail_schema(GrammarFault::invalid_schema, place, "another schema has the same anchor");
  };
  if (owner.dialect < SchemaDialect::draft2019) {
    const std::string* id = text_at(json, owner.dialect == SchemaDialect::draft4 ? "id" : "$id");
    if (id == nullptr || json.contains("$ref")) return;
    const std::string_view fragment = split_fragment(*id).fragment;
    if (!fragment.empty() && fragment[0] != '/') add(std::string(fragment));
    return;
  }
  const std::string* anchor = text_at(json, "$anchor");
  const std::string* dynamic = text_at(json, "$dynamicAnchor");
  if (anchor != nullptr) add(*anchor);
  if (dynamic != nullptr && (anchor == nullptr || *dynamic != *anchor)) add(*dynamic);
  if (dynamic != nullptr) ++dynamic_anchors_[*dynamic];
  if (const auto found = json.find("$recursiveAnchor"); found != json.end() && *found == true) {
    ++dynamic_anchors_[""];
  }
}

SchemaId SchemaDocument::intern(const Json& json,
                                bool constant,
                                std::string place,
                                int32_t resource) {
  const auto id = static_cast<SchemaId>(nodes_.size());
  const auto [found, added] = (constant ? constants_ : schemas_).emplace(&json, id);
  if (!added) return found->second;
  const SchemaDialect dialect = resources_[static_cast<size_t>(resource)].dialect;
  nodes_.push_back({&json, std::move(place), resource, dialect, constant});
  return id;
}

SchemaId SchemaDocument::subschema(SchemaId parent, const Json& json, const std::string& steps) {
  const auto known = resource_of_.find(&json);
  const int32_t resource = known != resource_of_.end() ? known->second : node(parent).resource;
  return intern(json, false, node(parent).place + steps, resource);
}

SchemaId SchemaDocument::constant(SchemaId parent, const Json& value, const std::string& steps) {
  return intern(value, true, node(parent).place + steps, node(parent).resource);
}

SchemaId SchemaDocument::target(SchemaId from,
                                const std::string& reference,
                                std::string_view keyword) {
  const std::string place = fmt::format("{}/{}", node(from).place, keyword);
  const std::string uri =
      resolve_uri(resources_[static_cast<size_t>(node(from).resource)].uri, reference);
  const UriParts parts = split_fragment(uri);
  const auto found = by_uri_.find(std::string(parts.document));
  if (found == by_uri_.end()) {
    fail_schema(GrammarFault::unsupported_schema,
                place,
                fmt::format("{} is not in this document, and nothing is fetched",
                            quote_for_message(reference)));
  }
  int32_t resource = found->second;
  if (resource == kAmbiguous) {
    fail_schema(GrammarFault::invalid_schema,
                place,
                fmt::format("{} names several schemas", quote_for_message(reference)));
  }
  Place at = resources_[static_cast<size_t>(resource)].root;
  const std::optional<std::string> fragment = percent_decode(parts.fragment);
  const auto missing = [&] {
    fail_schema(GrammarFault::invalid_schema,
                place,
                fmt::format("{} names nothing in this document", quote_for_message(reference)));
  };
  if (!fragment) missing();
  if (!fragment->empty() && (*fragment)[0] != '/') {
    const auto& anchors = resources_[static_cast<size_t>(resource)].anchors;
    const auto anchor = anchors.find(*fragment);
    if (anchor == anchors.end()) missing();
    at = anchor->second;
    return intern(*at.json, false, at.place, resource);
  }
  const auto steps = pointer_steps(*fragment);
  if (!steps) missing();
  for (const std::string& step : *steps) {
    const Json* next = nullptr;
    if (at.json->is_object()) {
      const auto member = at.json->find(step);
      if (member != at.json->end()) next = &*member;
    } else if (at.json->is_array()) {
      size_t i = 0;
      const char* end = step.data() + step.size();
      const auto parsed = std::from_chars(step.data(), end, i);
      if (parsed.ec == std::errc() && parsed.ptr == end && i < at.json->size()) {
        next = &(*at.json)[i];
      }
    }
    if (next == nullptr) missing();
    at = {next, at.place + pointer_step(step)};
    if (const auto known = resource_of_.find(next); known != resource_of_.end()) {
      resource = known->second;
    }
  }
  return intern(*at.json, false, at.place, resource);
}

int64_t SchemaDocument::n_dynamic_anchors(const std::string& name) const {
  const auto found = dynamic_anchors_.find(name);
  return found == dynamic_anchors_.end() ? 0 : found->second;
}

}  // namespace qwen3
