ALTER TABLE rails.things ADD CONSTRAINT things_ip_null CHECK (ip IS NOT NULL) NOT VALID;
ALTER TABLE rails.things VALIDATE CONSTRAINT things_ip_null;
ALTER TABLE rails.things ALTER COLUMN ip SET NOT NULL;
ALTER TABLE rails.things DROP CONSTRAINT things_ip_null;
