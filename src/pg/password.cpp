#include "pg/password.hpp"

#include <libpq-fe.h>

#include <memory>

#include "base/error.hpp"

namespace lockkeeper::pg {

std::string scram_verifier(const std::string& password) {
  // libpq wants a connection, and asks it nothing when it is told the method.
  const std::unique_ptr<PGconn, void (*)(PGconn*)> nowhere(PQconnectStart("host=/nowhere"),
                                                           PQfinish);
  const std::unique_ptr<char, void (*)(void*)> verifier(
      PQencryptPasswordConn(nowhere.get(), password.c_str(), "", "scram-sha-256"), PQfreemem);
  if (!verifier) throw Error(Retry::never, "the password cannot be hashed");
  return verifier.get();
}

}  // namespace lockkeeper::pg
