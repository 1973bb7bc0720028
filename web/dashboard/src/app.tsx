// The session's gate, and the page that the address names.

import { CircleHelp, Lock } from "lucide-react";
import { Component, type ReactNode, useEffect } from "react";
import { ApiError, setCsrfToken, whenLoggedOut } from "./api/client";
import { queryClient, useSession } from "./api/queries";
import { boardHearer } from "./live/board";
import { eventsHearer } from "./live/events";
import { listen } from "./live/listen";
import { match, usePath } from "./router";
import { ROUTES } from "./routes";
import { Login } from "./shell/login";
import { SessionContext, useMay } from "./shell/session";
import { Shell } from "./shell/shell";
import { t } from "./text";
import { Button } from "./ui/button";
import { Empty, Page } from "./ui/page";

whenLoggedOut(() => {
  setCsrfToken(null);
  queryClient.setQueryData(["session"], null);
});

export function App() {
  const { data: session, error, isPending, refetch } = useSession();
  useEffect(() => setCsrfToken(session?.csrf_token ?? null), [session]);
  const token = session?.csrf_token;
  useEffect(() => {
    if (!token) return;
    const hearers = [eventsHearer(), boardHearer(queryClient)];
    const end = listen(token, hearers);
    return () => {
      end();
      hearers.forEach((hearer) => hearer.end());
    };
  }, [token]);
  if (session) {
    return (
      <SessionContext value={session}>
        <Shell>
          <Mishap>
            <CurrentPage />
          </Mishap>
        </Shell>
      </SessionContext>
    );
  }
  if (isPending) return null;
  if (session === null || (error instanceof ApiError && error.status === 401)) return <Login />;
  return (
    <main className="login">
      <Empty icon={CircleHelp} title={t.away} body={error?.message} action={<Button onClick={() => void refetch()}>{t.tryNow}</Button>} />
    </main>
  );
}

function CurrentPage() {
  const path = usePath();
  const admin = useMay("admin");
  for (const { path: pattern, page: Found, role } of ROUTES) {
    const parameters = match(pattern, path);
    if (!parameters) continue;
    if (role === "admin" && !admin) {
      return (
        <Page title={t.forbidden.title}>
          <Empty icon={Lock} title={t.forbidden.title} body={t.forbidden.body} />
        </Page>
      );
    }
    return <Found key={path} parameters={parameters} />;
  }
  return (
    <Page title={t.notFound.title}>
      <Empty icon={CircleHelp} title={t.notFound.title} body={t.notFound.body} />
    </Page>
  );
}

/** A page that fails to draw leaves the navigation standing. */
class Mishap extends Component<{ children: ReactNode }, { error: Error | undefined }> {
  override state: { error: Error | undefined } = { error: undefined };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Empty icon={CircleHelp} title={t.mishap} body={error.message}
        action={<Button onClick={() => this.setState({ error: undefined })}>{t.tryNow}</Button>} />
    );
  }
}
