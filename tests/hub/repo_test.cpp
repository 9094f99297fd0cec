#include "hub/repo.h"

#include <gtest/gtest.h>

#include "hub/content_hash.h"
#include "support/expect_error.h"

namespace qwen3::hub {
namespace {

TEST(ModelRef, Parts) {
  const auto whole = parse_model_ref("Qwen/Qwen3-8B-GGUF@refs/pr/1:dir/Q4_K_M.gguf");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->repo, "Qwen/Qwen3-8B-GGUF");
  EXPECT_EQ(whole->revision, "refs/pr/1");
  EXPECT_EQ(whole->file, "dir/Q4_K_M.gguf");
  EXPECT_EQ(whole->text(), "Qwen/Qwen3-8B-GGUF@refs/pr/1:dir/Q4_K_M.gguf");
  const auto plain = parse_model_ref("Qwen/Qwen3-0.6B");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->text(), "Qwen/Qwen3-0.6B");
}

TEST(ModelRef, WhatIsNone) {
  for (const char* name :
       {"",       "nano",  "/a/b",     "./a",    "../a",     "a/b/c",    "a/",
        "/a",     "a/..",  "a/.b",     "a/b.",   "a--b/c",   "a/b..c",   "a/b.git",
        "a/b:",   "a/b@",  "a/b:../x", "a/b:/x", "a/b:x//y", "a/b@../x", "a/b@x y",
        "a/b@-x", "a/b c", "a/\xff",   "a\\b/c"}) {
    EXPECT_FALSE(parse_model_ref(name)) << name;
  }
  EXPECT_FALSE(is_repo_name("a/" + std::string(100, 'b')));
}

TEST(RepoPath, OnlyBelowItsFolder) {
  for (const char* path :
       {"config.json", "a/b/c", "a b", "…", "a..b", "..a", "a/...", ".gitattributes"}) {
    EXPECT_NO_THROW(check_repo_path(path)) << path;
  }
  for (const std::string& path : {std::string(),
                                  std::string("/a"),
                                  std::string("a/"),
                                  std::string("a//b"),
                                  std::string("."),
                                  std::string("a/./b"),
                                  std::string(".."),
                                  std::string("a/../../b"),
                                  std::string("a\\b"),
                                  std::string("a\0b", 3),
                                  std::string("a\nb"),
                                  std::string("a\x7f"),
                                  std::string("\xff"),
                                  std::string(201, 'a'),
                                  "a/" + std::string(1024, 'b')}) {
    EXPECT_THROW(check_repo_path(path), Error) << path;
  }
}

TEST(RepoFolder, ThereAndBack) {
  EXPECT_EQ(repo_folder_name("Qwen/Qwen3-0.6B"), "models--Qwen--Qwen3-0.6B");
  EXPECT_EQ(repo_of_folder("models--Qwen--Qwen3-0.6B"), "Qwen/Qwen3-0.6B");
  for (const char* folder :
       {"models--gpt2", "datasets--a--b", "models--a--b--c", "models----b", ".locks"}) {
    EXPECT_FALSE(repo_of_folder(folder)) << folder;
  }
}

std::string hash_of(HashKind kind, std::string_view text) {
  ContentHash hash(kind, static_cast<int64_t>(text.size()));
  hash.add(std::as_bytes(std::span("rubbish")));
  hash.restart();
  for (const char& c : text) hash.add(std::as_bytes(std::span(&c, 1)));
  return hash.take();
}

// Of sha256sum(1) and git hash-object(1).
TEST(ContentHash, Known) {
  EXPECT_EQ(hash_of(HashKind::sha256, "hello\n"),
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(hash_of(HashKind::git_blob, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(hash_of(HashKind::git_blob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

}  // namespace
}  // namespace qwen3::hub
