-- One row: is a function named $1 (text) volatile in any of its forms? NULL: there is none.
-- Locks nothing. Caller: catalog/reader.
SELECT pg_catalog.bool_or(p.provolatile = 'v') AS volatile
  FROM pg_catalog.pg_proc AS p WHERE p.proname = $1;
