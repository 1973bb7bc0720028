//! Tests the logo of a stream: the picture at its own address, and its place in the stream.

use crate::common;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use common::{Answer, Api};
use serde_json::{Value, json};

/// A PNG of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

async fn put(api: &Api, key: &str, png: &[u8], headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("authorization", key)];
    all.extend(headers);
    api.call_with_bytes("PUT", "/streams/1/logo", Some(png), &all).await
}

#[tokio::test]
async fn a_logo_is_put_placed_read_and_taken_off() {
    let api = Api::start().await;
    let stream = api.post("/streams", json!({"name": "cam1", "logo": {"position": "bottom_left"}})).await.json();
    let usual = json!({
        "position": "bottom_left", "width_percent": 12.0, "margin_percent": 3.0, "opacity": 1.0, "image": null,
    });
    assert_eq!(stream["logo"], usual);
    assert_eq!(api.get("/streams/1/logo").await.status, 404);
    assert_eq!(api.delete("/streams/1/logo").await.status, 404);

    let png = BASE64_STANDARD.decode(PNG).unwrap();
    let kind = [("content-type", "image/png")];
    let made = put(&api, &api.operator, &png, &kind).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (200, "\"2\""), "{}", made.text);
    let image = made.json()["logo"]["image"].clone();
    assert_eq!((&image["width"], &image["height"]), (&json!(1), &json!(1)));
    let read = api.call("GET", "/streams/1/logo", None, &[("authorization", &api.viewer)]).await;
    assert_eq!((read.status.as_u16(), read.header("content-type"), &read.bytes), (200, "image/png", &png));
    let known = [("authorization", api.viewer.as_str()), ("if-none-match", read.header("etag"))];
    assert_eq!(api.call("GET", "/streams/1/logo", None, &known).await.status, 304);
    assert_eq!(put(&api, &api.operator, &png, &kind).await.header("etag"), "\"2\"", "the same again is no change");
    assert_eq!(put(&api, &api.operator, &png, &[kind[0], ("if-match", "\"1\"")]).await.status, 412);

    let moved = api.patch("/streams/1", json!({"logo": {"opacity": 0.5, "width_percent": 20}})).await.json();
    let expected = json!({"position": "bottom_left", "width_percent": 20.0, "margin_percent": 3.0, "opacity": 0.5, "image": image});
    assert_eq!(moved["logo"], expected);
    let stream = || {
        let catalogue = api.context.commands.catalogue();
        catalogue.as_run(catalogue.streams().next().unwrap())
    };
    assert_eq!(&*stream().logo_image.as_ref().unwrap().png, png, "what runs has the picture");

    assert_eq!(api.delete("/streams/1/logo").await.status, 204);
    assert_eq!(api.get("/streams/1").await.json()["logo"]["image"], Value::Null);
    assert_eq!(stream().logo_image, None);
}

#[tokio::test]
async fn what_is_no_logo_is_refused() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let png = BASE64_STANDARD.decode(PNG).unwrap();
    let kind = [("content-type", "image/png")];
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x7F, 0, 0, 0, 0x7F, 0]);
    let large = vec![0; (1 << 20) + 1];
    for (body, headers, status) in [
        (&png[..], &[][..], 415),
        (&png, &[("content-type", "image/jpeg")], 415),
        (b"GIF89a", &kind, 422),
        (b"", &kind, 422),
        (&png[..40], &kind, 422),
        (&huge, &kind, 422),
        (&large, &kind, 413),
    ] {
        let answer = put(&api, &api.admin, body, headers).await;
        assert_eq!(answer.status, status, "{} bytes: {}", body.len(), answer.text);
    }
    let headers = [("authorization", api.admin.as_str()), kind[0]];
    assert_eq!(api.call_with_bytes("PUT", "/streams/9/logo", Some(&png), &headers).await.status, 404);
    for (logo, field) in [
        (json!({"width_percent": 0}), "logo.width_percent"),
        (json!({"margin_percent": 51}), "logo.margin_percent"),
        (json!({"opacity": 2}), "logo.opacity"),
        (json!({"position": "middle"}), "logo.position"),
        (json!({"image": null}), "logo.image"),
    ] {
        let answer = api.patch("/streams/1", json!({"logo": logo})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["field"]), (422, &json!(field)), "{}", answer.text);
    }
}
