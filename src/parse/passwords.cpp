#include "parse/passwords.hpp"

#include <optional>

#include "base/error.hpp"
#include "parse/message.hpp"

namespace lockkeeper::parse {
namespace {

// As the server tells them apart: get_password_type().
bool is_hash(const std::string& password) {
  constexpr std::size_t kMd5Length = 35;
  const bool md5 = password.size() == kMd5Length && password.rfind("md5", 0) == 0 &&
                   password.find_first_not_of("0123456789abcdef", 3) == std::string::npos;
  return md5 || password.rfind("SCRAM-SHA-256$", 0) == 0;
}

// Of CREATE ROLE and ALTER ROLE; null: it is neither, or sets none.
PgQuery__String* password_of(PgQuery__Node* statement) {
  PgQuery__Node** options = nullptr;
  std::size_t count = 0;
  if (statement != nullptr && statement->node_case == PG_QUERY__NODE__NODE_CREATE_ROLE_STMT) {
    options = statement->create_role_stmt->options;
    count = statement->create_role_stmt->n_options;
  } else if (statement != nullptr && statement->node_case == PG_QUERY__NODE__NODE_ALTER_ROLE_STMT) {
    options = statement->alter_role_stmt->options;
    count = statement->alter_role_stmt->n_options;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto* option = options[i]->def_elem;
    if (option != nullptr && std::string(option->defname) == "password" && option->arg != nullptr &&
        option->arg->node_case == PG_QUERY__NODE__NODE_STRING)
      return option->arg->string;
  }
  return nullptr;
}

}  // namespace

std::string with_hashed_password(
    const std::string& text,
    const std::function<std::string(const std::string& password)>& hashed) {
  const Message message(text);
  auto* password = password_of(message.statement());
  if (password == nullptr || empty(password->sval) || is_hash(password->sval)) return text;
  if (!same_statement(text, message.sql()))
    throw InputError(
        "this statement has a password in clear text, which would be kept in queue and history",
        "give the password as a hash (SCRAM-SHA-256$…)");
  const Replaced now(password->sval, hashed(password->sval));
  return message.sql();
}

}  // namespace lockkeeper::parse
