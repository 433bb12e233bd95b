#include "pg/dsn.hpp"

#include <libpq-fe.h>

#include <memory>
#include <sstream>

#include "base/error.hpp"

namespace lockkeeper::pg {
namespace {

std::string quoted(const std::string& value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

bool is_port(const std::string& text) {
  return text.empty() ||
         (text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos &&
          std::stol(text) >= 1 && std::stol(text) <= 65535);
}

bool are_ports(const std::string& list) {
  std::istringstream in(list);
  for (std::string one; std::getline(in, one, ',');)
    if (!is_port(one)) return false;
  return true;
}

}  // namespace

Dsn::Dsn(const std::string& text) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      PQconninfoParse(text.c_str(), &message), PQconninfoFree);
  const std::unique_ptr<char, void (*)(void*)> owned(message, PQfreemem);
  std::string reason = message != nullptr ? message : "no memory";
  while (!reason.empty() && reason.back() == '\n') reason.pop_back();
  // libpq quotes a piece of the text, which may be one of the password.
  if (text.find("pass") != std::string::npos || text.find('@') != std::string::npos)
    reason = "libpq cannot read it (not quoted here, it may hold a password)";
  if (!options)
    throw InputError("not a connection string: " + reason,
                     "for example: postgresql://user@host:5432/database, or host=/run/postgresql "
                     "dbname=shop");
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) {
      values_[option->keyword] = option->val;
      if (option->dispchar != nullptr && *option->dispchar == '*') secret_.insert(option->keyword);
    }
  // libpq takes what follows a "/" or "@" of a password for something else, and would show it.
  const bool url = text.rfind("postgres", 0) == 0 && text.find("://") != std::string::npos;
  const auto torn = [&](const char* key) {
    return url && value(key).find('@') != std::string::npos;
  };
  if (!are_ports(value("port")) || torn("host") || torn("dbname"))
    throw InputError(
        "not a connection string: host, port or database make no sense (not quoted "
        "here, they may be parts of a password)",
        "in a URL, write / of a password as %2F, @ as %40, : as %3A; ports are 1 to "
        "65535");
}

Dsn Dsn::with_default(const std::string& key, const std::string& value) const {
  Dsn copy = *this;
  copy.values_.emplace(key, value);
  return copy;
}

Dsn Dsn::with(const std::string& key, const std::string& value) const {
  Dsn copy = *this;
  copy.values_[key] = value;
  return copy;
}

std::string Dsn::value(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string() : found->second;
}

std::string Dsn::conninfo() const {
  std::string out;
  for (const auto& [key, value] : values_)
    out += (out.empty() ? "" : " ") + key + "=" + quoted(value);
  return out;
}

std::string Dsn::redacted() const {
  Dsn copy = *this;
  for (const auto& key : secret_) copy.values_.erase(key);
  return copy.conninfo();
}

bool answers(const Dsn& dsn) {
  return PQping(dsn.with_default("connect_timeout", "10").conninfo().c_str()) == PQPING_OK;
}

}  // namespace lockkeeper::pg
