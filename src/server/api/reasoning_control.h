// POST /v1/chat/completions/control: a client ends the thought of an answer that it is still
// reading, and the answer begins. Only of requests that said `reasoning_control: true`, and only by
// the client that sent them: to everybody else they are not there.
//
//   request ── open(): its place, for as long as it runs ──┐
//   control ── end_thought(id) ── sets the switch ─────────┴─> Steering reads it before each token
//
// Thread safe. A place ends before its list does.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "chat/steering.h"
#include "server/http/http.h"

namespace qwen3::server {

class ReasoningControls {
 public:
  class Place {
   public:
    ~Place();
    Place(const Place&) = delete;

   private:
    friend class ReasoningControls;
    Place(ReasoningControls& controls, std::string id, std::string client, ThoughtSwitch end);

    ReasoningControls& controls_;
    const std::string id_, client_;
    const ThoughtSwitch end_;
  };

  // `id`: of the answer, "chatcmpl-…". Two answers of one id, which only a client that chooses its
  // own request ids can make, are ended together.
  std::unique_ptr<Place> open(std::string id, const Client& client, ThoughtSwitch end);
  // False when no such answer of this client is under way.
  bool end_thought(const std::string& id, const Client& client);

 private:
  std::mutex mutex_;
  std::unordered_multimap<std::string, const Place*> places_;  // by id; under mutex_
};

}  // namespace qwen3::server
