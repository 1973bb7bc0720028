//! Runs the router over a real store, and calls it without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt;
use weir_api::{ApiContext, AuditTrail, PublicUrls, PublishUrl, RawUriRule, Readiness, Webhooks, http_server, router};
use weir_control::{Admission, Commands, Lanes, Playback, Runtime};
use weir_model::{Platforms, Role};
use weir_net::TrustedProxies;
use weir_observe::Observe;
use weir_origin::{HttpLimits, HttpServer, Thumbnails};
use weir_store::{SealingKey, Store};
use weir_transcode::EncodingResources;

pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) context: ApiContext,
    pub(crate) admission: Admission,
    pub(crate) admin: String,
    pub(crate) operator: String,
    pub(crate) viewer: String,
    _dir: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        let runtime = Runtime::new();
        let observe = Observe::new();
        let platforms = Platforms::load().unwrap();
        let commands = Commands::new(store.clone(), platforms, runtime.clone(), observe.clone()).await.unwrap();
        let admission = Admission::new(commands.clone(), runtime);
        let playback = Playback::new(admission.clone());
        let publish = |base: &str| Some(PublishUrl { base: base.to_owned(), before_key: "/live/" });
        let urls = PublicUrls {
            publish: [("rtmp", publish("rtmp://weir.test:1935")), ("rtmps", publish("rtmps://weir.test:1936"))].into(),
            ..PublicUrls::default()
        };
        let readiness = Readiness::new(observe.heartbeats().clone(), store.write_health());
        readiness.set_ready();
        let (recordings, encoding) = (None, EncodingResources::open().unwrap());
        let thumbnails = Thumbnails::new(playback.clone(), encoding.clone());
        let data = dir.path().to_owned();
        let webhooks = Webhooks::new();
        let audit = AuditTrail::new(store.clone());
        let context = ApiContext {
            audit,
            commands,
            playback,
            store,
            observe,
            urls,
            readiness,
            recordings,
            encoding,
            thumbnails,
            whep: None,
            whip: None,
            data,
            webhooks,
            raw_uris: RawUriRule::ADMIN,
            metrics_need_key: false,
        };
        let key = async |role: Role| {
            let (_, secret) = context.store.create_api_key(role.as_str(), role).await.unwrap();
            format!("apikey {}", secret.expose())
        };
        let (admin, operator, viewer) = (key(Role::Admin).await, key(Role::Operator).await, key(Role::Viewer).await);
        Self { router: router(context.clone()), context, admission, admin, operator, viewer, _dir: dir }
    }

    /// The same API with another configuration.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ApiContext)) -> Self {
        change(&mut self.context);
        Self { router: router(self.context.clone()), ..self }
    }

    /// The server of this API for a socket, on a lane of its own.
    pub(crate) fn server(&self) -> HttpServer {
        let lanes = Lanes::start(Some(1)).unwrap();
        http_server(self.context.clone(), HttpLimits::default(), TrustedProxies::default(), lanes)
    }

    /// Serves plain HTTP until `shutdown` ends.
    pub(crate) fn serve<S: Future<Output = ()> + Send + 'static>(
        &self,
        listener: TcpListener,
        shutdown: S,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let heartbeat = self.context.observe.heartbeats().join("HTTP");
        Box::pin(self.server().serve(listener, None, shutdown, heartbeat))
    }

    /// Calls as an admin.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &[("authorization", &self.admin)]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body.to_string()), &[("authorization", &self.admin)]).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(&body.to_string()), &[("authorization", &self.admin)]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &[("authorization", &self.admin)]).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Answer {
        self.call_with_bytes(method, path, body.map(str::as_bytes), headers).await
    }

    pub(crate) async fn call_with_bytes(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let path = if path.starts_with("/api/")
            || ["/healthz", "/readyz", "/metrics"].contains(&path.split('?').next().unwrap_or_default())
        {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_vec()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text, bytes: bytes.to_vec() }
    }

    /// Makes a stream to hang restreams on, and returns its id.
    pub(crate) async fn stream(&self, name: &str) -> i64 {
        let made = self.post("/streams", serde_json::json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["id"].as_i64().unwrap()
    }
}
