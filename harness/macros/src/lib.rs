//! The `#[scenario]` attribute: keeps the function and files it in the catalogue. It may not change what the function does.
use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, ItemFn, Lit, MetaNameValue, Token};

/// Files `fn name(net: &mut Net)` in the catalogue under its name with dashes; the first line of its doc comment is shown in lists.
///
/// All arguments are optional:
/// - `theme = "pay"`: the group it is listed under (default: the name of its file);
/// - `worlds = "sim regtest live"`: where it can run (default: everywhere); of several formats only anchors run live, since processes
///   take their time;
/// - `formats = "static_remotekey anchors"`: one scenario for each channel format, `name` for anchors and
///   `name-static-remotekey`, with that format as the default of its channels (default: anchors only);
/// - `mutants = "skip_forward_fee"`: the planted bugs with which it must fail (default: none).
#[proc_macro_attribute]
pub fn scenario(args: TokenStream, item: TokenStream) -> TokenStream {
    expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// What the attribute's arguments say.
#[derive(Default)]
struct Arguments {
    theme: Option<String>,
    worlds: Option<(String, Span)>,
    formats: Option<(String, Span)>,
    mutants: Option<(String, Span)>,
}

fn expand(args: Tokens, item: Tokens) -> syn::Result<Tokens> {
    let arguments = read_arguments(args)?;
    let function: ItemFn = syn::parse2(item)?;
    let worlds = worlds(arguments.worlds)?;
    let mutants = mutants(arguments.mutants)?;
    let theme = match arguments.theme {
        Some(theme) => quote!(::core::option::Option::Some(#theme)),
        None => quote!(::core::option::Option::None),
    };
    let ident = &function.sig.ident;
    let base = ident.to_string().replace('_', "-");
    let doc = first_doc_line(&function.attrs);
    let entries = formats(&base, arguments.formats)?.into_iter().map(|(name, format)| {
        let live = quote!(::leyden_harness::WorldKind::Live).to_string();
        let worlds = worlds.iter().filter(|world| name == base || world.to_string() != live);
        quote! {
            ::leyden_harness::inventory::submit! {
                ::leyden_harness::Scenario {
                    name: #name,
                    theme: #theme,
                    worlds: &[#(#worlds),*],
                    doc: #doc,
                    function: #ident,
                    channel_type: #format,
                    mutants: &[#(#mutants),*],
                    file: ::core::file!(),
                    line: ::core::line!(),
                    home: ::core::env!("CARGO_MANIFEST_DIR"),
                }
            }
        }
    });
    let entries: Vec<Tokens> = entries.collect();
    Ok(quote! { #function #(#entries)* })
}

fn read_arguments(args: Tokens) -> syn::Result<Arguments> {
    let mut arguments = Arguments::default();
    for pair in Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse2(args)? {
        let Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) = &pair.value else {
            return Err(syn::Error::new_spanned(&pair.value, "a string is wanted here"));
        };
        let found = Some((value.value(), value.span()));
        match pair.path.get_ident().map(ToString::to_string).as_deref() {
            Some("theme") => arguments.theme = Some(value.value()),
            Some("worlds") => arguments.worlds = found,
            Some("formats") => arguments.formats = found,
            Some("mutants") => arguments.mutants = found,
            _ => return Err(syn::Error::new_spanned(&pair.path, "known: theme, worlds, formats, mutants")),
        }
    }
    Ok(arguments)
}

fn worlds(named: Option<(String, Span)>) -> syn::Result<Vec<Tokens>> {
    let (text, span) = named.unwrap_or_else(|| ("sim regtest live".into(), Span::call_site()));
    text.split_whitespace()
        .map(|world| match world {
            "sim" => Ok(quote!(::leyden_harness::WorldKind::Sim)),
            "regtest" => Ok(quote!(::leyden_harness::WorldKind::Regtest)),
            "live" => Ok(quote!(::leyden_harness::WorldKind::Live)),
            _ => Err(syn::Error::new(span, format!("unknown world {world:?}: sim, regtest, live"))),
        })
        .collect()
}

/// The planted bugs, by their variants: one that does not exist does not compile.
fn mutants(named: Option<(String, Span)>) -> syn::Result<Vec<Tokens>> {
    let Some((text, span)) = named else { return Ok(Vec::new()) };
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.split_whitespace()
        .map(|name| {
            if !name.chars().all(plain) || name.split('_').any(str::is_empty) {
                return Err(syn::Error::new(
                    span,
                    format!("a mutant is named like skip_forward_fee, not {name:?}"),
                ));
            }
            let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
            let variant = syn::Ident::new(&words.collect::<String>(), span);
            Ok(quote!(::leyden_harness::Mutant::#variant))
        })
        .collect()
}

/// The catalogue's names and the channel format of each.
fn formats(base: &str, named: Option<(String, Span)>) -> syn::Result<Vec<(String, Tokens)>> {
    let anchors = quote!(::leyden_harness::ChannelType::AnchorsZeroFeeHtlc);
    let Some((text, span)) = named else {
        return Ok(vec![(base.into(), anchors)]);
    };
    text.split_whitespace()
        .map(|format| match format {
            "anchors" => Ok((base.to_string(), anchors.clone())),
            "static_remotekey" => Ok((
                format!("{base}-static-remotekey"),
                quote!(::leyden_harness::ChannelType::StaticRemotekey),
            )),
            _ => Err(syn::Error::new(span, format!("unknown format {format:?}: static_remotekey, anchors"))),
        })
        .collect()
}

fn first_doc_line(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    lines
        .filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_string()),
            _ => None,
        })
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}
