#include "server/page/chat_page.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/sha256.h"
#include "server/http/auth.h"
#include "server/http/html_error.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

Answer fetch(HttpServer& server, std::string_view path, std::string_view headers = "") {
  RawClient client(server.port());
  client.send(get(server.port(), path, headers));
  return client.answer().value_or(Answer{});
}

struct File {
  const char* path;
  const char* type;
};
constexpr File kFiles[] = {{"/", "text/html; charset=utf-8"},
                           {"/chat.js", "text/javascript; charset=utf-8"},
                           {"/chat.css", "text/css; charset=utf-8"},
                           {"/icon.svg", "image/svg+xml"}};

TEST(ChatPage, EachFileHasItsTypeTagAndPolicy) {
  HttpServer server(test_options(), page_routes());
  for (const File& file : kFiles) {
    const Answer answer = fetch(server, file.path);
    EXPECT_EQ(answer.status, 200) << file.path;
    EXPECT_EQ(answer.header("content-type"), file.type);
    EXPECT_EQ(answer.header("cache-control"), "no-cache");
    EXPECT_EQ(answer.header("content-security-policy"), kPolicy);
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("etag"), "\"" + sha256_hex(answer.body) + "\"");
    EXPECT_FALSE(answer.body.empty());
  }
}

TEST(ChatPage, WhatTheBrowserHasIsNotSentAgain) {
  HttpServer server(test_options(), page_routes());
  for (const File& file : kFiles) {
    const std::string tag = fetch(server, file.path).header("etag");
    for (const std::string& same :
         {tag, "W/" + tag, "\"other\" , " + tag, std::string("*"), "\"a\",W/" + tag}) {
      const Answer answer = fetch(server, file.path, "If-None-Match: " + same + "\r\n");
      EXPECT_EQ(answer.status, 304) << same;
      EXPECT_EQ(answer.header("etag"), tag);
      EXPECT_TRUE(answer.body.empty());
    }
    for (const std::string& other : {std::string("\"other\""), tag.substr(1), std::string(",,")}) {
      EXPECT_EQ(fetch(server, file.path, "If-None-Match: " + other + "\r\n").status, 200) << other;
    }
  }
}

// Nothing in them runs or loads what the policy forbids, and together they are small.
TEST(ChatPage, FilesAreSmallAndKeepThePolicy) {
  const PageParts page = chat_page();
  const size_t total = page.html.size() + page.js.size() + page.css.size() + page.icon.size();
  EXPECT_LE(total, 150'000u);
  EXPECT_GT(page.js.size(), 50'000u);
  for (const char* word :
       {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("}) {
    EXPECT_EQ(page.js.find(word), std::string_view::npos) << word;
  }
  for (const char* word : {"style=", "<style", "onclick", "javascript:", "://"}) {
    EXPECT_EQ(page.html.find(word), std::string_view::npos) << word;
  }
  EXPECT_EQ(page.html.find("<script"), page.html.rfind("<script"));
  EXPECT_NE(page.html.find("<script type=\"module\" src=\"/chat.js\"></script>"),
            std::string_view::npos);
  EXPECT_EQ(page.css.find("url("), std::string_view::npos);
  EXPECT_EQ(page.css.find("@import"), std::string_view::npos);
}

TEST(ChatPage, OpenWithoutAKeyAndOnlyToBeRead) {
  HttpOptions options = test_options();
  options.keys = {make_api_key("alice", std::string(40, 'k'), "test")};
  HttpServer server(options, page_routes());
  for (const File& file : kFiles) EXPECT_EQ(fetch(server, file.path).status, 200) << file.path;
  RawClient client(server.port());
  client.send(post(server.port(), "/", "{}"));
  EXPECT_EQ(client.answer()->status, 405);
}

TEST(ChatPage, WithoutItWordsSayWhatTheServerIs) {
  HttpServer server(test_options(), no_page_routes());
  const Answer answer = fetch(server, "/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "text/plain; charset=utf-8");
  EXPECT_NE(answer.body.find("--no-page"), std::string::npos);
  EXPECT_NE(answer.body.find("/v1/chat/completions"), std::string::npos);
  EXPECT_EQ(fetch(server, "/chat.js").status, 404);
}

TEST(HtmlError, OnlyForReaders) {
  for (const char* accept : {"text/html",
                             "text/html,application/json",
                             "text/html;q=0.9,*/*",
                             "application/xml, Text/HTML , */*;q=0.8"}) {
    EXPECT_TRUE(prefers_html(accept)) << accept;
  }
  for (const char* accept : {"",
                             "*/*",
                             "application/json",
                             "application/json,text/html",
                             "application/json;q=1, text/html",
                             "text/htmlx",
                             "text/*"}) {
    EXPECT_FALSE(prefers_html(accept)) << accept;
  }
}

TEST(HtmlError, AMissingPathAsAPage) {
  HttpServer server(test_options(), page_routes());
  const Answer page = fetch(server, "/nowhere", "Accept: text/html,*/*;q=0.8\r\n");
  EXPECT_EQ(page.status, 404);
  EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.header("content-security-policy"), kPolicy);
  EXPECT_NE(page.body.find("<a href=\"/\">"), std::string::npos);
  const Answer json = fetch(server, "/nowhere", "Accept: */*\r\n");
  EXPECT_EQ(json.status, 404);
  EXPECT_EQ(json.header("content-type"), "application/json");
  const HttpResponse error = error_response(404, "<script>&\"", "unknown_url");
  const HttpResponse shown = for_reader(error, "GET", "text/html");
  EXPECT_NE(shown.body.find("&lt;script&gt;&amp;&quot;"), std::string::npos);
  EXPECT_EQ(shown.body.find("<script"), std::string::npos);
  EXPECT_EQ(for_reader(error, "POST", "text/html").body, error.body);
  EXPECT_EQ(for_reader(error_response(500, "x"), "GET", "text/html").content_type,
            "application/json");
}

}  // namespace
}  // namespace qwen3::server
