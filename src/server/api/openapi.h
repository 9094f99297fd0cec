// GET /openapi.json: the API of this server as an OpenAPI 3.1 document. The operations stand in one
// table here, their fields in described_fields.h.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "server/api/options.h"

namespace qwen3::server {

Json openapi_document(const ServiceOptions& options);

}  // namespace qwen3::server
