// Who is signed in, and what that key may do.
import { createContext, useContext } from "../vendor/preact-htm.js";

const ORDER = { read: 0, write: 1, admin: 2 };

export const Me = createContext(null);

/** {name, scope, user, apps, read_only, version, rooms, kind, where} of GET /v1/me. */
export const useMe = () => useContext(Me);

/** Whether the key that is signed in may do what needs `scope` ("write", "admin"). */
export function useMay(scope) {
  const me = useMe();
  if (!me) return false;
  return ORDER[me.scope] >= ORDER[scope] && (scope === "read" || !me.read_only);
}
