//! What stands in front of the service: it lets through, or answers itself.

use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{error::Error, future::poll_fn, sync::Arc};
use tokio::net::TcpListener;
use tonic::{Status, body::Body, client::GrpcService, transport::Channel};

/// What becomes of a request.
pub(crate) enum Answer {
    /// The service answers it.
    Its,
    /// A page with this status; the service has not seen the request.
    Page(u16),
    /// A page with this status; the service has carried the request out.
    Late(u16),
    Refused(Status),
    /// The request is reset for this reason.
    Reset(h2::Reason),
}

type Sent = Result<Response<Body>, Box<dyn Error + Send + Sync>>;

/// The endpoint of a front, which asks `rule` by the method, and is told what was first sent.
pub(crate) async fn front(
    service: String,
    rule: impl Fn(&str) -> Answer + Send + Sync + 'static,
    sent: impl Fn(&str, &Bytes) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let channel = Channel::from_shared(service).unwrap().connect_lazy();
    let (rule, sent) = (Arc::new(rule), Arc::new(sent));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (channel, rule, sent) = (channel.clone(), rule.clone(), sent.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let (_, method) = request.uri().path().rsplit_once('/').unwrap();
                let (answer, method) = (rule(method), method.to_owned());
                let sent = sent.clone();
                let request = request.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        frame.data_ref().inspect(|data| sent(&method, data));
                        frame
                    }))
                });
                answered(channel.clone(), request, answer)
            });
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), answer));
        }
    });
    endpoint
}

async fn answered(mut channel: Channel, request: Request<Body>, answer: Answer) -> Sent {
    let asked = async {
        poll_fn(|context| GrpcService::poll_ready(&mut channel, context)).await?;
        GrpcService::call(&mut channel, request).await
    };
    match answer {
        Answer::Its => Ok(asked.await?),
        Answer::Page(status) => page(status),
        Answer::Late(status) => {
            asked.await?;
            page(status)
        }
        Answer::Refused(status) => Ok(status.into_http()),
        Answer::Reset(reason) => Err(h2::Error::from(reason).into()),
    }
}

fn page(status: u16) -> Sent {
    let text = format!("<html>{status}</html>");
    let page = Response::builder()
        .status(status)
        .header("content-type", "text/html");
    Ok(page.body(Body::new(
        http_body_util::Full::from(text).map_err(|never| match never {}),
    ))?)
}
