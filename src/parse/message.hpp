#pragma once
// Statements as libpg_query's own structures, to be changed and written as SQL again. Only for the
// files of this folder that rewrite statements. One thread at a time.

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <functional>
#include <string>
#include <vector>

namespace lockkeeper::parse {

// A tree of libpg_query's own structures. What is put into it for a moment is taken out again
// before it is freed, because protobuf-c frees all that it finds.
class Message {
 public:
  /// Text that cannot be parsed gives no statement().
  explicit Message(const std::string& text);
  ~Message();
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  [[nodiscard]] PgQuery__Node* statement() const {
    return tree_ != nullptr && tree_->n_stmts == 1 ? tree_->stmts[0]->stmt : nullptr;
  }

  /// The SQL of the tree as it is now; empty when it cannot be written.
  [[nodiscard]] std::string sql() const;

 private:
  PgQuery__ParseResult* tree_ = nullptr;
};

/// Gives a string of a tree another value for a while.
class Replaced {
 public:
  Replaced(char*& place, std::string value);
  ~Replaced();
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;

 private:
  char*& place_;
  char* own_;
  std::string value_;
};

/// Do both mean the same, wherever things stand in the text? False when one cannot be parsed.
bool same_statement(const std::string& one, const std::string& other);

/// A name as the deparser of this build wants it in the tree: those up to PostgreSQL 15's write
/// names of constraints and indexes as they are.
std::string constraint_name(const std::string& name);
std::string index_name(const std::string& name);
std::string used_index_name(const std::string& name);

/// The values of those nodes that are strings.
std::vector<std::string> strings_of(PgQuery__Node** nodes, std::size_t count);
inline bool empty(const char* text) { return text == nullptr || *text == '\0'; }

/// Calls `visit` for each message under `root` that is a `kind`.
void visit_all(ProtobufCMessage* root, const ProtobufCMessageDescriptor& kind,
               const std::function<void(ProtobufCMessage*)>& visit);

/// An expression of a tree as SQL; empty when it cannot be written.
std::string expression_sql(PgQuery__Node* expression);

}  // namespace lockkeeper::parse
