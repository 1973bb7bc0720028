// Who is looking, and what they may do. The server decides; here it only decides what is worth showing.

import { createContext, useContext } from "react";
import type { Role, Session } from "../api/types";

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

export const SessionContext = createContext<Session | undefined>(undefined);

export function useUser(): Session["user"] {
  const session = useContext(SessionContext);
  if (!session) throw new Error("there is no session here");
  return session.user;
}

export function useMay(role: Role): boolean {
  return RANK[useUser().role] >= RANK[role];
}
