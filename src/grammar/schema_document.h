// SchemaDocument: a JSON Schema document as nodes: every (sub)schema with its place, its base URI and its draft,
// so that `$ref`, `$id` and anchors can be followed. No keyword has a meaning here but those.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "grammar/grammar_error.h"

namespace qwen3 {

// Ascending: `dialect >= draft7` asks for a keyword that draft 7 brought.
enum class SchemaDialect { draft4, draft6, draft7, draft2019, draft2020 };

using SchemaId = int32_t;

struct SchemaNode {
  const Json* json = nullptr;
  std::string place;  // JSON pointer from the root
  int32_t resource = 0;
  SchemaDialect dialect = SchemaDialect::draft2020;
  bool constant = false;  // `json` is no schema but the one value that is valid
};

class SchemaDocument {
 public:
  // `root` must outlive the document. Throws too_complex beyond the limits of size and depth.
  explicit SchemaDocument(const Json& root);

  const SchemaNode& node(SchemaId id) const { return nodes_[static_cast<size_t>(id)]; }
  SchemaId root() const { return 0; }

  // The schema `json`, found in `parent` by `steps` (a JSON pointer that begins there).
  SchemaId subschema(SchemaId parent, const Json& json, const std::string& steps);
  // The schema {"const": value}.
  SchemaId constant(SchemaId parent, const Json& value, const std::string& steps);
  // What `reference` names from within `from`; unsupported_schema for what is not in this document.
  SchemaId target(SchemaId from, const std::string& reference, std::string_view keyword);
  // Some schema has unevaluatedProperties or unevaluatedItems.
  bool has_unevaluated() const { return has_unevaluated_; }
  // How many schemas of the document have this $dynamicAnchor (or, "", $recursiveAnchor).
  int64_t n_dynamic_anchors(const std::string& name) const;

 private:
  struct Place {
    const Json* json;
    std::string place;
  };
  struct Resource {
    std::string uri;  // without fragment
    SchemaDialect dialect;
    Place root;
    std::map<std::string, Place> anchors;
  };

  void check_size(const Json& root) const;
  void index(const Json& json, const std::string& place, int32_t resource);
  void index_children(const Json& json, const std::string& place, int32_t resource);
  int32_t enter_resource(const Json& json, const std::string& place, int32_t outer);
  void add_anchors(const Json& json, const std::string& place, int32_t resource);
  SchemaId intern(const Json& json, bool constant, std::string place, int32_t resource);

  std::deque<SchemaNode> nodes_;  // stays put when more are found
  std::vector<Resource> resources_;
  std::unordered_map<const Json*, SchemaId> schemas_;
  std::unordered_map<const Json*, SchemaId> constants_;
  std::unordered_map<const Json*, int32_t> resource_of_;  // of the schemas at known keywords
  std::unordered_map<std::string, int32_t> by_uri_;
  std::map<std::string, int64_t> dynamic_anchors_;
  bool has_unevaluated_ = false;
};

// GrammarError at a place of a schema.
[[noreturn]] void fail_schema(GrammarFault fault,
                              const std::string& place,
                              const std::string& message);

}  // namespace qwen3
