-- Who was a maintainer of the box is a member of it: in an organisation, maintainer is something else.
-- Safe under load: users are few, and the hub, which alone writes them, starts after its migrations.

ALTER TABLE users DROP CONSTRAINT users_role_check;
UPDATE users SET role = 'member' WHERE role = 'maintainer';
ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('admin', 'member', 'reader'));
