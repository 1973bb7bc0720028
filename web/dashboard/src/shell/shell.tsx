// What is around every page: the navigation, who is logged in, and whether what is shown is of now.

import * as Radix from "@radix-ui/react-dialog";
import { KeyRound, LogOut, Menu as MenuIcon, Monitor, Moon, Sun, UserRound } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { call, setCsrfToken } from "../api/client";
import { queryClient, useRestreams, useStreams } from "../api/queries";
import { isFailing } from "../overview/problems";
import { Link, usePath } from "../router";
import { ROUTES } from "../routes";
import { t } from "../text";
import { Menu } from "../ui/menu";
import { Toasts } from "../ui/toast";
import { ChangePassword } from "./change_password";
import { Logo } from "./logo";
import { useMay, useUser } from "./session";
import { StaleNotice } from "./stale";
import { chooseTheme, useTheme } from "./theme";

const GROUPS = ["watch", "set", "run"] as const;

export function Shell({ children }: { children: ReactNode }) {
  const path = usePath();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  return (
    <div className="shell">
      <a className="skip" href="#main">{t.skip}</a>
      <aside className="side">
        <Link to="/" className="brand">
          <Logo />
          <span>{t.product}</span>
        </Link>
        <Navigation />
        <Account />
      </aside>
      <header className="top">
        <Radix.Root open={open} onOpenChange={setOpen}>
          <Radix.Trigger className="icon-button">
            <MenuIcon aria-hidden size={18} />
            <span className="sr-only">{t.nav.open}</span>
          </Radix.Trigger>
          <Radix.Portal>
            <div className="veil" aria-hidden />
            <Radix.Content className="drawer" aria-describedby={undefined}>
              <Radix.Title className="brand">
                <Logo />
                <span>{t.product}</span>
              </Radix.Title>
              <Navigation />
              <Account />
            </Radix.Content>
          </Radix.Portal>
        </Radix.Root>
        <Link to="/" className="brand">
          <Logo />
          <span>{t.product}</span>
        </Link>
      </header>
      <main id="main" tabIndex={-1}>
        <StaleNotice />
        {children}
      </main>
      <Toasts />
    </div>
  );
}

function Navigation() {
  const path = usePath();
  const admin = useMay("admin");
  const troubles = useTroubles();
  return (
    <nav aria-label={t.nav.label}>
      {GROUPS.map((group) => (
        <ul key={group} aria-label={t.nav.groups[group]}>
          {ROUTES.map(({ path: to, nav, role }) => {
            if (!nav || nav.group !== group || (role === "admin" && !admin)) return null;
            const { icon: Icon, label } = nav;
            const here = to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`);
            const trouble = troubles[to] ?? 0;
            return (
              <li key={to}>
                <Link to={to} aria-current={here ? "page" : undefined}>
                  <Icon aria-hidden size={16} />
                  <span className="nav-label">{label}</span>
                  {trouble > 0 && <span className="nav-count" title={t.nav.troubles(trouble)}>{trouble}</span>}
                </Link>
              </li>
            );
          })}
        </ul>
      ))}
    </nav>
  );
}

/** How many are in trouble, by page. */
function useTroubles(): Record<string, number> {
  const { data: streams = [] } = useStreams();
  const { data: restreams = [] } = useRestreams();
  return {
    "/streams": streams.filter(({ status }) => status.state === "stalled" || status.state === "failed").length,
    "/restreams": restreams.filter(isFailing).length,
  };
}

function Account() {
  const user = useUser();
  const [, theme] = useTheme();
  const logOut = async () => {
    await call("DELETE", "/session").catch(() => undefined);
    setCsrfToken(null);
    queryClient.clear();
    location.assign("/");
  };
  const [changing, setChanging] = useState(false);
  return (
    <div className="account">
      {changing && <ChangePassword onClose={() => setChanging(false)} />}
      <Menu
        label={t.account.menu}
        trigger={
          <>
            <span className="avatar" aria-hidden><UserRound size={15} /></span>
            <span className="account-name">
              {user.name}
              <span className="account-role">{t.roles[user.role]}</span>
            </span>
          </>
        }
        items={[
          theme !== "dark" && { label: t.account.dark, icon: Moon, onSelect: () => chooseTheme("dark") },
          theme !== "light" && { label: t.account.light, icon: Sun, onSelect: () => chooseTheme("light") },
          theme !== "system" && { label: t.account.system, icon: Monitor, onSelect: () => chooseTheme("system") },
          { label: t.account.password, icon: KeyRound, onSelect: () => setChanging(true) },
          { label: t.account.logOut, icon: LogOut, onSelect: () => void logOut() },
        ]}
      />
    </div>
  );
}
